"""CheckSettings: everything that is wrong with an edited definition, at once, each with its place. Worker only."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping

from guivm.engine import hosts
from guivm.engine.context import HandlerContext
from guivm.engine.options.facts import HostFacts
from guivm.engine.options.new_disks import NewDisk
from guivm.engine.options.values import Place, SettingProblem
from guivm.engine.requests import CheckSettings
from guivm.engine.settings import access
from guivm.engine.settings.documents import definition_of, live_document, parsed
from guivm.engine.settings.facts import host_facts
from guivm.engine.settings.host_devices import dac_user
from guivm.engine.settings.io_rules import Runner, file_problems, with_whole_paths
from guivm.engine.settings.new_disks import disk_problem_on, planned_places
from guivm.engine.settings.port_rules import port_problems
from guivm.engine.settings.rule import error
from guivm.engine.settings.rules import rule_problems
from guivm.engine.settings.rules_change import change_problems
from guivm.engine.xml.document import Element, XmlError, element_children
from guivm.engine.xml.domain import DomainXml

_FACTS_AGE_S = 30.0  # a dialog asks again with every pause in typing


def check_settings(context: HandlerContext, request: CheckSettings) -> tuple[SettingProblem, ...]:
    """Handler of CheckSettings. What other VMs' definitions say may be half a minute old."""
    try:
        draft = parsed(request.xml)
    except XmlError as problem:
        return (error(Place("xml"), f"{problem} {problem.details}".strip()),)
    facts = host_facts(context, draft, but=request.key.uuid, max_age_s=_FACTS_AGE_S)
    found = list(rule_problems(draft, facts))
    if hosts.is_test(context.host.uri):
        return tuple(dict.fromkeys(found))
    planned = planned_places(draft, request.new_disks)
    with contextlib.suppress(XmlError):
        found.extend(change_problems(parsed(definition_of(context.domain(request.key))), draft))
    if context.host.is_local:
        found = list(with_whole_paths(found, draft, facts.capabilities.images_dir))
        text = live_document(context.domain(request.key))
        found.extend(_looked_at(context, draft, facts, parsed(text) if text else None, planned))
    found.extend(_of_new_images(context, planned))
    return tuple(dict.fromkeys(found))


def _looked_at(
    context: HandlerContext,
    draft: DomainXml,
    facts: HostFacts,
    live: DomainXml | None,
    planned: Collection[Place],
) -> Iterator[SettingProblem]:
    with contextlib.suppress(XmlError):  # the pure rules have said so
        for problem in file_problems(draft, facts, runner_of(context, draft)):
            if problem.place not in planned:
                yield problem
    context.job.check_cancelled()
    with contextlib.suppress(XmlError):
        yield from port_problems(draft, live)


def _of_new_images(context: HandlerContext, planned: Mapping[Place, NewDisk]) -> Iterator[SettingProblem]:
    for place, disk in planned.items():
        words = disk_problem_on(context, disk)
        if words:
            yield error(place, words)


def runner_of(context: HandlerContext, draft: DomainXml) -> Runner:
    """Who will run QEMU for this VM.

    Its own label (``<seclabel model='dac'>``) comes first, then what the host's capabilities say; a driver that has
    no such model runs it as the daemon's user, which for a local session is us.
    """
    root: Element = draft.make()
    for label in element_children(root, "seclabel"):
        if label.get("model") == "dac" and label.get("type") == "static":
            named = access.user_named((label.findtext("label") or "").strip())
            if named is not None:
                return Runner(named, gives_files=label.get("relabel") != "no")
    try:
        ids = dac_user(str(context.connection.getCapabilities()))
    except XmlError:
        ids = None
    if ids is None:
        return Runner(access.ourselves(), gives_files=False)
    return Runner(access.user_of(*ids), gives_files=True)
