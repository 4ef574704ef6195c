"""A host and a rich machine for tests of options."""

from __future__ import annotations

from guivm.engine.options.facts import CpuModel, HostFacts, Offer, PageSize
from guivm.engine.options.option import Situation
from guivm.engine.xml.domain import DomainXml
from tests.helpers.fake_engine import FakeEngine


def host_facts(**fields: object) -> HostFacts:
    """A host with KVM switched off, two CPU models, and huge pages of two sizes, one of them in stock."""
    facts = {
        "capabilities": FakeEngine(with_host=False).capabilities,
        "offers": (
            Offer("cpu/host-passthrough", ()),
            Offer("cpu/maximum", ()),
            Offer("os/firmware", ("efi",)),
            Offer("os/loader/secure", ("no", "yes")),
            Offer("memoryBacking/sourceType", ("file", "anonymous", "memfd")),
        ),
        "cpu_models": (
            CpuModel("Nehalem", True, "Intel"),
            CpuModel("Skylake-Client", False, "Intel", ("avx512f", "hle")),
        ),
        "page_sizes": (PageSize(2048, 512, 500), PageSize(1024 * 1024, 0, 0)),
    }
    return HostFacts(**(facts | fields))  # type: ignore[arg-type]


def situation_of(domain: DomainXml, *, is_running: bool = False, **fields: object) -> Situation:
    return Situation(host_facts(**fields), domain, is_running=is_running)
