"""``<features>``: what the machine can do besides its devices (formatdomain.html, "Hypervisor features")."""

from __future__ import annotations

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, Flag, Switch, attribute


class Features(XmlNode):
    """``<features>``: chip set, then what Windows (Hyper-V) and Linux (KVM) guests are told of their hypervisor."""

    __slots__ = ()

    acpi = Flag("acpi")
    apic = Flag("apic")
    apic_eoi = attribute("apic/@eoi", ON_OFF)
    pae = Flag("pae")
    hap = Switch("hap")
    pmu = Switch("pmu")
    smm = Switch("smm")
    vmport = Switch("vmport")
    vmcoreinfo = Switch("vmcoreinfo")
    pvspinlock = Switch("pvspinlock")
    gic_version = attribute("gic/@version")  # "2", "3", "host"
    ioapic_driver = attribute("ioapic/@driver")  # "kvm", "qemu"
    msrs_unknown = attribute("msrs/@unknown")  # "ignore", "fault"

    hyperv_mode = attribute("hyperv/@mode")  # "custom", "passthrough"
    hyperv_relaxed = attribute("hyperv/relaxed/@state", ON_OFF)
    hyperv_vapic = attribute("hyperv/vapic/@state", ON_OFF)
    hyperv_spinlocks = attribute("hyperv/spinlocks/@state", ON_OFF)
    hyperv_spinlock_retries = attribute("hyperv/spinlocks/@retries", INTEGER)
    hyperv_vpindex = attribute("hyperv/vpindex/@state", ON_OFF)
    hyperv_runtime = attribute("hyperv/runtime/@state", ON_OFF)
    hyperv_synic = attribute("hyperv/synic/@state", ON_OFF)
    hyperv_stimer = attribute("hyperv/stimer/@state", ON_OFF)
    hyperv_stimer_direct = attribute("hyperv/stimer/direct/@state", ON_OFF)
    hyperv_reset = attribute("hyperv/reset/@state", ON_OFF)
    hyperv_vendor_id = attribute("hyperv/vendor_id/@state", ON_OFF)
    hyperv_vendor_id_value = attribute("hyperv/vendor_id/@value")  # at most 12 characters
    hyperv_frequencies = attribute("hyperv/frequencies/@state", ON_OFF)
    hyperv_reenlightenment = attribute("hyperv/reenlightenment/@state", ON_OFF)
    hyperv_tlbflush = attribute("hyperv/tlbflush/@state", ON_OFF)
    hyperv_tlbflush_direct = attribute("hyperv/tlbflush/direct/@state", ON_OFF)  # libvirt 11.1, like the next
    hyperv_tlbflush_extended = attribute("hyperv/tlbflush/extended/@state", ON_OFF)
    hyperv_ipi = attribute("hyperv/ipi/@state", ON_OFF)
    hyperv_evmcs = attribute("hyperv/evmcs/@state", ON_OFF)
    hyperv_avic = attribute("hyperv/avic/@state", ON_OFF)
    hyperv_emsr_bitmap = attribute("hyperv/emsr_bitmap/@state", ON_OFF)  # libvirt 10.7, like the next
    hyperv_xmm_input = attribute("hyperv/xmm_input/@state", ON_OFF)

    kvm_hidden = attribute("kvm/hidden/@state", ON_OFF)
    kvm_hint_dedicated = attribute("kvm/hint-dedicated/@state", ON_OFF)
    kvm_poll_control = attribute("kvm/poll-control/@state", ON_OFF)
    kvm_pv_ipi = attribute("kvm/pv-ipi/@state", ON_OFF)
    kvm_dirty_ring = attribute("kvm/dirty-ring/@state", ON_OFF)
    kvm_dirty_ring_size = attribute("kvm/dirty-ring/@size", INTEGER)  # entries: a power of 2, 1024 to 65536
