"""From a bench's configuration to what the core, OpenOCD and the GDB ports need of it."""

from __future__ import annotations

import pwd
from dataclasses import replace

from ocdsup.config.model import Bench as BenchConfig
from ocdsup.config.model import SecondClientPolicy
from ocdsup.core.policy import Policy
from ocdsup.openocd.command import BackendSpec
from ocdsup.openocd.dialect import Family, Version
from ocdsup.probes.selector import Found, Match, openocd_serial
from ocdsup.probes.serials import is_raw
from ocdsup.rsp.policy import Monitor, OnDetach, SecondClient
from ocdsup.rsp.policy import Policy as GdbPolicy

SHARED_CLIENTS = 4  # an IDE, its live watch, a terminal, and one that is just leaving


def policy_of(config: BenchConfig) -> Policy:
    """The numbers the core needs, from the configuration."""
    recovery = config.recovery
    return Policy(
        failures=recovery.failures,
        window_s=recovery.window,
        start_timeout_s=recovery.start_timeout,
        hang_timeout_s=recovery.hang_timeout,
        grace_s=recovery.grace,
        backoff_first_s=recovery.backoff.first,
        backoff_factor=recovery.backoff.factor,
        backoff_limit_s=recovery.backoff.limit,
        restarts=recovery.intensity.restarts,
        period_s=recovery.intensity.period,
        under_reset=recovery.under_reset,
        slow_speed_khz=recovery.slow_speed_khz,
        usb_reset=recovery.usb_reset,
        after_recovery=recovery.after_recovery,
    )


def spec_of(config: BenchConfig) -> BackendSpec:
    """What OpenOCD's command line needs, from the configuration."""
    probe, openocd = config.probe, config.openocd
    server = int(probe.server.rpartition(":")[2]) if probe.server else None
    return BackendSpec(
        binary=openocd.binary,
        config=openocd.config,
        search=openocd.search,
        commands=openocd.commands,
        vid_pid=probe.vid_pid,
        serial=probe.serial,
        location=probe.location,
        stlink_server_port=server,
        adapter_speed_khz=openocd.adapter_speed_khz,
        gdb_clients=SHARED_CLIENTS if config.second_client is SecondClientPolicy.SHARE else 1,
    )


def gdb_policy_of(config: BenchConfig) -> GdbPolicy:
    """What is chosen for the GDB ports, from the configuration."""
    return GdbPolicy(
        monitor=Monitor(config.monitor.value),
        on_detach=OnDetach(config.on_detach.value),
        second_client=SecondClient(config.second_client.value),
        idle_after=config.takeover_after,
        cache=config.cache and config.second_client is not SecondClientPolicy.SHARE,
    )


def uids_of(config: BenchConfig) -> frozenset[int] | None:
    """Return whose processes may be ended, None for everybody's. A user that this PC has not got has no processes either."""
    if not config.holder_users:
        return None
    return frozenset(uid for user in config.holder_users if (uid := _uid(user)) is not None)


def _uid(user: str) -> int | None:
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def pinned(spec: BackendSpec, found: Match, version: Version) -> BackendSpec:
    """Return `spec` with exactly the probe that was found: OpenOCD, left to choose, takes the first that fits its driver.

    What the configuration says is kept; a probe without a usable serial is told by its place.
    """
    if not isinstance(found, Found):
        return spec
    probe = found.probe
    old = version.family < Family.V0_11 and is_raw(probe.serial)  # 0.10 knows such a serial only by its escapes
    serial = spec.serial or (None if old else openocd_serial(probe))
    location = spec.location or (probe.location if serial is None else None)
    return replace(spec, vid_pid=spec.vid_pid or probe.vid_pid, serial=serial, location=location)
