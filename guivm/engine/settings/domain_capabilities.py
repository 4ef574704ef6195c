"""Domain capabilities as facts. Pure. (https://libvirt.org/formatdomaincaps.html)"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guivm.engine.options.facts import CpuModel, Offer
from guivm.engine.xml.document import Element, element_children, parse_xml
from guivm.text import clean_line

_VALUE_LIMIT = 4096  # a firmware's path is the longest of them


@dataclass(frozen=True, slots=True)
class DomainOffers:
    """What one emulator offers to VMs of one machine, architecture and type."""

    offers: tuple[Offer, ...] = ()
    cpu_models: tuple[CpuModel, ...] = ()
    host_cpu_model: str = ""
    host_features: tuple[str, ...] = ()


def read_domain_capabilities(text: str) -> DomainOffers:
    """Raises XmlError."""
    root = parse_xml(text, "domainCapabilities")
    cpu = root.find("cpu")
    model, features = _host_model(cpu)
    return DomainOffers(
        offers=tuple(_offers(root)), cpu_models=tuple(_cpu_models(cpu)), host_cpu_model=model, host_features=features
    )


def _offers(root: Element) -> Iterator[Offer]:
    for child in element_children(root):
        if child.tag == "vcpu":
            yield Offer("vcpu/max", (child.get("max", "0"),))
        elif child.tag == "cpu":
            for mode in element_children(child, "mode"):
                yield from _below(mode, f"cpu/{mode.get('name', '')}", supported=True, with_values=False)
        elif child.tag in ("devices", "features"):
            prefix = "" if child.tag == "devices" else "features/"
            for device in element_children(child):
                yield from _below(device, f"{prefix}{device.tag}", supported=True)
        elif child.get("supported") is not None:
            yield from _below(child, str(child.tag), supported=True)


def _below(element: Element, path: str, *, supported: bool, with_values: bool = True) -> Iterator[Offer]:
    """The offer of an element itself, and those of the enumerations and elements in it."""
    supported = supported and element.get("supported", "yes") == "yes"
    yield Offer(path, _values(element) if with_values else (), supported)
    for child in element_children(element):
        if child.tag == "enum":
            yield Offer(f"{path}/{child.get('name', '')}", _values(child), supported)
        elif child.get("supported") is not None:
            yield from _below(child, f"{path}/{child.tag}", supported=supported)


def _values(element: Element) -> tuple[str, ...]:
    return tuple(clean_line(value.text or "", _VALUE_LIMIT) for value in element_children(element, "value"))


def _cpu_models(cpu: Element | None) -> Iterator[CpuModel]:
    custom = None if cpu is None else cpu.find("mode[@name='custom']")
    if custom is None:
        return
    blockers = {
        element.get("model", ""): tuple(clean_line(f.get("name", "")) for f in element_children(element, "feature"))
        for element in element_children(custom, "blockers")
    }
    for model in element_children(custom, "model"):
        name = clean_line(model.text or "")
        if name:
            yield CpuModel(
                name=name,
                usable=model.get("usable") != "no",
                vendor=clean_line(model.get("vendor", "")),
                blockers=blockers.get(model.text or "", ()),
                deprecated=model.get("deprecated") == "yes",
            )


def _host_model(cpu: Element | None) -> tuple[str, tuple[str, ...]]:
    mode = None if cpu is None else cpu.find("mode[@name='host-model']")
    if mode is None or mode.get("supported") != "yes":
        return "", ()
    required = (f.get("name", "") for f in element_children(mode, "feature") if f.get("policy") in (None, "require"))
    return clean_line(mode.findtext("model") or ""), tuple(dict.fromkeys(clean_line(name) for name in required if name))


def missing_features(refusal: str) -> tuple[str, ...]:
    """The features that libvirt names when the host's processor lacks what a model needs.

    "the CPU is incompatible with host CPU: Host CPU does not provide required features: avx, avx2"
    (libvirt, src/cpu/cpu_x86.c, x86FeatureNames and x86Compute)
    """
    _, found, names = refusal.partition("required features:")
    return tuple(clean_line(name) for name in names.split(",") if name.strip()) if found else ()
