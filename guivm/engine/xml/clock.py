"""``<clock>`` and ``<pm>``: time and sleep (formatdomain.html, "Time keeping", "Power Management")."""

from __future__ import annotations

from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, YES_NO, Children, attribute


class Timer(XmlNode):
    __slots__ = ()

    name = attribute("@name")  # "rtc", "pit", "hpet", "tsc", "kvmclock", "hypervclock", …
    present = attribute("@present", YES_NO)
    tick_policy = attribute("@tickpolicy")  # "delay", "catchup", "merge", "discard"
    track = attribute("@track")  # of "rtc": "boot", "guest", "wall", "realtime"
    frequency_hz = attribute("@frequency", INTEGER)  # of "tsc"
    mode = attribute("@mode")  # of "tsc"
    catch_up_threshold_ns = attribute("catchup/@threshold", INTEGER)
    catch_up_slew = attribute("catchup/@slew", INTEGER)
    catch_up_limit_ns = attribute("catchup/@limit", INTEGER)


class Clock(XmlNode):
    """``<clock>``."""

    __slots__ = ()

    offset = attribute("@offset")  # "utc", "localtime", "timezone", "variable", "absolute"
    timezone = attribute("@timezone")  # a name of the zoneinfo database
    adjustment = attribute("@adjustment")  # seconds, or "reset"
    basis = attribute("@basis")  # of "variable": "utc", "localtime"
    start = attribute("@start", INTEGER)  # of "absolute": seconds since 1970
    timers = Children(Timer, "timer")


class PowerManagement(XmlNode):
    """``<pm>``: whether the guest may sleep."""

    __slots__ = ()

    suspend_to_memory = attribute("suspend-to-mem/@enabled", YES_NO)
    suspend_to_disk = attribute("suspend-to-disk/@enabled", YES_NO)
