"""Values behind the options of the CPU that touch more than one property, and their text forms.

Topology: "1x4x2" is sockets x cores x threads ("1x2x4x2": with dies). Features: "+vmx, -hle", other policies
"pcid=optional". Pinning: "0:0-3,1:2,4" gives CPU 0 the host's 0 to 3 and CPU 1 its 2 and 4.
NUMA: "0-1=1 GiB; 2-3=1 GiB".
"""

from __future__ import annotations

import re

from guivm.engine.options.option import N, SizeUnit, Value
from guivm.engine.options.sizes import parse_size, size_words
from guivm.engine.xml.domain import DomainXml

# --- count ------------------------------------------------------------------------------------------------


def get_count(domain: DomainXml) -> Value | None:
    """CPUs the guest starts with; None where nothing is said (libvirt: 1)."""
    return domain.vcpu.current if domain.vcpu.current is not None else domain.vcpu.maximum


def get_maximum(domain: DomainXml) -> Value | None:
    return domain.vcpu.maximum


def set_count(domain: DomainXml, value: Value | None) -> None:
    """Without room for more that was asked for, the maximum goes along. Raises ValueError."""
    vcpu = domain.vcpu
    count = _at_least_one(1 if value is None else value)
    if vcpu.current is None or vcpu.maximum is None or count >= vcpu.maximum:
        if count != vcpu.maximum:
            _resize(domain, count)
        if vcpu.current is not None:
            vcpu.current = None
    else:
        vcpu.current = count


def set_maximum(domain: DomainXml, value: Value | None) -> None:
    """None: no more than it starts with. Raises ValueError."""
    count = int(get_count(domain) or 1)
    maximum = count if value is None else _at_least_one(value)
    if maximum != domain.vcpu.maximum:
        _resize(domain, maximum)
    domain.vcpu.current = count if count < maximum else None


def _at_least_one(value: Value) -> int:
    number = int(value)
    if number < 1:
        raise ValueError(N("A machine has at least one CPU."))
    return number


def _resize(domain: DomainXml, maximum: int) -> None:
    """Another maximum: a topology that was given keeps its shape as far as it can, for libvirt wants it to fit."""
    domain.vcpu.maximum = maximum
    domain.individual_vcpus.clear()
    cpu = domain.cpu
    if cpu.cores is None:
        return
    sockets, dies, threads = cpu.sockets or 1, cpu.dies or 1, cpu.threads or 1
    others = sockets * dies * (cpu.clusters or 1) * threads
    if maximum % others == 0:
        cpu.cores = maximum // others
        return
    cpu.sockets, cpu.cores, cpu.threads = 1, maximum, 1
    cpu.dies = None if cpu.dies is None else 1
    cpu.clusters = None if cpu.clusters is None else 1


# --- topology ---------------------------------------------------------------------------------------------


def get_topology(domain: DomainXml) -> Value | None:
    cpu = domain.cpu
    if cpu.cores is None and cpu.sockets is None and cpu.threads is None:
        return None
    dies = [cpu.dies or 1] if (cpu.dies or 1) > 1 else []
    return "x".join(str(number) for number in [cpu.sockets or 1, *dies, cpu.cores or 1, cpu.threads or 1])


def set_topology(domain: DomainXml, value: Value | None) -> None:
    """The number of CPUs follows. Raises ValueError."""
    cpu = domain.cpu
    if value is None:
        cpu.sockets, cpu.dies, cpu.clusters, cpu.cores, cpu.threads = None, None, None, None, None
        return
    parts = re.split(r"\s*[x×*]\s*", str(value).strip().lower())
    if len(parts) not in (3, 4) or not all(part.isdecimal() and 0 < int(part) < 65_536 for part in parts):
        raise ValueError(N("Write sockets x cores x threads, for example “1x4x1”."))
    sockets, *dies, cores, threads = (int(part) for part in parts)
    total = sockets * cores * threads * (dies[0] if dies else 1)
    count = int(get_count(domain) or 1)
    if domain.vcpu.maximum != total:
        has_room = domain.vcpu.current is not None
        domain.vcpu.maximum = total
        domain.individual_vcpus.clear()
        domain.vcpu.current = count if has_room and count < total else None
    cpu.sockets, cpu.cores, cpu.threads = sockets, cores, threads
    cpu.dies = dies[0] if dies else None if cpu.dies is None else 1
    cpu.clusters = None if cpu.clusters is None else 1


def topology_splits(count: int) -> tuple[tuple[int, int, int], ...]:
    """Sensible splits of so many CPUs in sockets, cores and threads: few sockets first; pairs of threads last."""
    found = [(sockets, count // sockets, 1) for sockets in (1, 2, 4) if count % sockets == 0]
    found += [(sockets, count // sockets // 2, 2) for sockets in (1, 2) if count % (sockets * 2) == 0]
    return tuple(split for split in dict.fromkeys(found) if split[0] <= count and split[1] >= 1)


# --- model and features -----------------------------------------------------------------------------------


def get_mode(domain: DomainXml) -> Value | None:
    return domain.cpu.mode or ("custom" if domain.cpu.model else None)


def set_mode(domain: DomainXml, value: Value | None) -> None:
    """What only another mode understands goes. Raises ValueError."""
    cpu = domain.cpu
    mode = None if value is None else str(value)
    if mode not in (None, "host-passthrough", "host-model", "maximum", "custom"):
        raise ValueError(f"There is no CPU mode “{mode}”.")
    if mode == get_mode(domain):
        return
    if mode != "custom":
        cpu.model, cpu.model_fallback, cpu.model_vendor_id, cpu.vendor, cpu.match = None, None, None, None, None
    if mode not in ("host-passthrough", "maximum"):
        cpu.migratable = None
        if cpu.cache_mode == "passthrough":
            cpu.cache_mode, cpu.cache_level = None, None
    cpu.check = None
    if mode is None:
        cpu.features.clear()  # they belong to a model
    cpu.mode = mode


def get_model(domain: DomainXml) -> Value | None:
    return domain.cpu.model


def set_model(domain: DomainXml, value: Value | None) -> None:
    """A named model is a mode of its own."""
    if value is not None and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", str(value)) is None:
        raise ValueError(N("This is no name of a CPU model; write for example “Skylake-Client”."))
    if value is not None and get_mode(domain) != "custom":
        set_mode(domain, "custom")
    if value is None and domain.cpu.mode == "host-model":
        domain.cpu.model_fallback = None
    domain.cpu.model = None if value is None else str(value)
    if value is None:
        domain.cpu.model_fallback, domain.cpu.model_vendor_id = None, None
    elif domain.cpu.match is None:
        domain.cpu.match = "exact"


_SIGNS = {"+": "require", "-": "disable"}
_POLICIES = ("force", "require", "optional", "disable", "forbid")


def get_features(domain: DomainXml) -> Value | None:
    words = []
    for feature in domain.cpu.features:
        sign = {policy: sign for sign, policy in _SIGNS.items()}.get(feature.policy or "require")
        words.append(f"{sign}{feature.name}" if sign else f"{feature.name}={feature.policy}")
    return ", ".join(words) or None


def set_features(domain: DomainXml, value: Value | None) -> None:
    """Raises ValueError."""
    wanted: dict[str, str] = {}
    for word in re.split(r"[,\s]+", str(value or "").strip()):
        if not word:
            continue
        match = re.fullmatch(r"([+-]?)([A-Za-z0-9][A-Za-z0-9._-]*)(?:=([a-z]+))?", word)
        policy = match[3] or _SIGNS.get(match[1], "require") if match else ""
        if match is None or policy not in _POLICIES:
            raise ValueError(f"“{word}” is no feature; write “+name”, “-name” or “name=optional”.")
        wanted[match[2]] = policy
    features = domain.cpu.features
    for feature in features:
        if feature.name not in wanted:
            features.remove(feature)
    present = {feature.name or "": feature for feature in features}
    for name, policy in wanted.items():
        node = present.get(name)
        if node is None:
            node = features.add()
            node.name = name
            node.policy = policy
        elif (node.policy or "require") != policy:
            node.policy = policy


def feature_policies(text: str) -> dict[str, str]:
    """What :func:`get_features` answers: policy by name."""
    found: dict[str, str] = {}
    for word in re.split(r"[,\s]+", text.strip()):
        name, equals, policy = word.partition("=")
        if equals:
            found[name] = policy
        elif word:
            found[word.lstrip("+-")] = _SIGNS.get(word[0], "require")
    return found


def features_text(policies: dict[str, str]) -> str:
    """The reverse."""
    signs = {policy: sign for sign, policy in _SIGNS.items()}
    return ", ".join(
        f"{signs[policy]}{name}" if policy in signs else f"{name}={policy}" for name, policy in policies.items()
    )


_NESTED = ("vmx", "svm")  # Intel's VT-x, AMD's AMD-V


def get_nested(domain: DomainXml) -> Value | None:
    """ "vmx" or "svm" where one is asked for, "off" where it is taken away, None where the model decides."""
    policies = {f.name: f.policy or "require" for f in domain.cpu.features if f.name in _NESTED}
    on = next((name for name, policy in policies.items() if policy in ("require", "force", "optional")), None)
    return on or ("off" if policies else None)


def set_nested(domain: DomainXml, value: Value | None) -> None:
    """Raises ValueError."""
    if value not in (None, "off", *_NESTED):
        raise ValueError(N("Nested virtualisation is “vmx” (Intel), “svm” (AMD) or “off”."))
    features = domain.cpu.features
    for feature in features:
        if feature.name in _NESTED:
            features.remove(feature)
    for name in _NESTED if value == "off" else (str(value),) if value is not None else ():
        feature = features.add()
        feature.name, feature.policy = name, "disable" if value == "off" else "require"


# --- pinning ----------------------------------------------------------------------------------------------

_CPU_SET = re.compile(r"\^?\d{1,5}(-\d{1,5})?(,\^?\d{1,5}(-\d{1,5})?)*")


def check_cpu_set(text: str) -> str:
    """Why a text is no set of CPUs such as "0-3,^2,8", or an empty string."""
    return "" if _CPU_SET.fullmatch(text) else N("Write numbers of the host's CPUs, for example “0-3,8”.")


def cpu_set(text: str) -> frozenset[int]:
    """The numbers of a set that :func:`check_cpu_set` has nothing against; libvirt's own limit is 16384."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.lstrip("^").partition("-")
        numbers = range(int(first), min(int(last or first), 16_384) + 1)
        found = found - set(numbers) if part.startswith("^") else found | set(numbers)
    return frozenset(found)


def cpu_set_text(cpus: frozenset[int]) -> str:
    """The shortest text of a set: "0-3,8"."""
    parts: list[str] = []
    numbers = sorted(cpus)
    start = 0
    for index, number in enumerate(numbers):
        if index + 1 == len(numbers) or numbers[index + 1] != number + 1:
            first = numbers[start]
            parts.append(str(first) if first == number else f"{first}-{number}")
            start = index + 1
    return ",".join(parts)


def pins_of(text: str) -> dict[int, frozenset[int]]:
    """What :func:`get_pinning` answers, by the guest's CPU; parts that are none are left out."""
    found: dict[int, str] = {}
    last: int | None = None
    for word in text.replace(" ", "").split(","):
        vcpu, colon, cpus = word.rpartition(":")
        if colon and vcpu.isdecimal():
            last = int(vcpu)
            found[last] = cpus
        elif last is not None:
            found[last] += f",{word}"
    return {vcpu: cpu_set(cpus) for vcpu, cpus in found.items() if not check_cpu_set(cpus)}


def pinning_text(pins: dict[int, frozenset[int]]) -> str:
    """The reverse."""
    return ",".join(f"{vcpu}:{cpu_set_text(cpus)}" for vcpu, cpus in sorted(pins.items()))


def get_pinning(domain: DomainXml) -> Value | None:
    return ",".join(f"{pin.vcpu}:{pin.cpu_set}" for pin in domain.cpu_tune.vcpu_pins) or None


def set_pinning(domain: DomainXml, value: Value | None) -> None:
    """Raises ValueError."""
    wanted: dict[int, str] = {}
    last: int | None = None
    for word in str(value or "").replace(" ", "").split(","):
        if not word:
            continue
        vcpu, colon, cpus = word.rpartition(":")
        if not colon and last is not None:
            wanted[last] += f",{cpus}"
        elif vcpu.isdecimal():
            last = int(vcpu)
            wanted[last] = cpus
        else:
            raise ValueError(N("Write CPU:host's CPUs, for example “0:0-3,1:2”."))
    problem = next((problem for cpus in wanted.values() if (problem := check_cpu_set(cpus))), "")
    if problem:
        raise ValueError(problem)
    pins = domain.cpu_tune.vcpu_pins
    for pin in pins:
        if pin.vcpu not in wanted:
            pins.remove(pin)
    present = {pin.vcpu: pin for pin in pins}
    for number, cpus in wanted.items():
        node = present.get(number)
        if node is None:
            node = pins.add()
            node.vcpu = number
        if node.cpu_set != cpus:
            node.cpu_set = cpus
    domain.cpu_tune.prune()


# --- share of time ----------------------------------------------------------------------------------------

_PERIOD_US = 100_000  # the kernel's own


def get_cap(domain: DomainXml) -> Value | None:
    """Per cent of a host CPU that each CPU may use."""
    tune = domain.cpu_tune
    if tune.quota_us is None or tune.quota_us < 0:
        return None
    return round(tune.quota_us * 100 / (tune.period_us or _PERIOD_US))


def set_cap(domain: DomainXml, value: Value | None) -> None:
    tune = domain.cpu_tune
    if value is None:
        tune.period_us, tune.quota_us = None, None
        tune.prune()
    else:
        tune.period_us, tune.quota_us = _PERIOD_US, int(value) * _PERIOD_US // 100


# --- NUMA -------------------------------------------------------------------------------------------------


def get_numa(domain: DomainXml) -> Value | None:
    return (
        "; ".join(
            f"{cell.cpus or ''}={size_words(cell.memory_kib or 0, SizeUnit.KIB)}" for cell in domain.cpu.numa_cells
        )
        or None
    )


def set_numa(domain: DomainXml, value: Value | None) -> None:
    """The guest's memory becomes the sum of its nodes and modules. Raises ValueError."""
    wanted: list[tuple[str, int]] = []
    for word in str(value or "").split(";"):
        if not word.strip():
            continue
        cpus, equals, size = (part.strip() for part in word.partition("="))
        if not equals or (cpus and check_cpu_set(cpus)):
            raise ValueError(N("Write CPUs=memory for each node, for example “0-1=1 GiB; 2-3=1 GiB”."))
        wanted.append((cpus, parse_size(size, SizeUnit.KIB)))
    cells = domain.cpu.numa_cells
    for cell in list(cells)[len(wanted) :]:
        cells.remove(cell)
    for index, (cpus, kib) in enumerate(wanted):
        cell = cells[index] if index < len(cells) else cells.add()
        if cell.id is None:
            cell.id = index
        cell.cpus = cpus or None
        if cell.memory_kib != kib:
            cell.memory_kib = kib
    if wanted:
        total = sum(kib for _, kib in wanted) + sum(module.size_kib or 0 for module in domain.devices.memories)
        if domain.memory_kib != total:
            domain.memory_kib = total
        if (domain.current_memory_kib or 0) > total:
            domain.current_memory_kib = total
