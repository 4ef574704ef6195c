"""What a request is called while it runs, and what is said when it fails. No Qt, no libvirt."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from guivm.engine import requests as rq
from guivm.engine.options.new_disks import CreatedDisk, NewDisk

# Request → (title of the job, "… could not …" sentence); {} is the name of the VM or host.
_WORDS: dict[type[rq.Request[Any]], tuple[str, str]] = {
    rq.Start: ("Starting “{}”", "“{}” could not be started."),
    rq.Pause: ("Pausing “{}”", "“{}” could not be paused."),
    rq.Resume: ("Resuming “{}”", "“{}” could not go on."),
    rq.ShutDown: ("Asking “{}” to shut down", "“{}” could not be asked to shut down."),
    rq.Reboot: ("Asking “{}” to restart", "“{}” could not be asked to restart."),
    rq.Reset: ("Resetting “{}”", "“{}” could not be reset."),
    rq.ForceOff: ("Forcing “{}” off", "“{}” could not be forced off."),
    rq.SaveState: ("Saving the state of “{}”", "The state of “{}” could not be saved."),
    rq.RestoreState: ("Restoring the state of “{}”", "The saved state of “{}” could not be restored."),
    rq.DiscardSavedState: ("Discarding the saved state of “{}”", "The saved state of “{}” could not be discarded."),
    rq.SetAutostart: ("Changing the automatic start of “{}”", "The automatic start of “{}” could not be changed."),
    rq.Rename: ("Renaming “{}”", "“{}” could not be renamed."),
    rq.SetTitle: ("Changing the title of “{}”", "The title of “{}” could not be changed."),
    rq.SetNotes: ("Changing the notes of “{}”", "The notes of “{}” could not be changed."),
    rq.PlanDelete: ("Looking at the files of “{}”", "The files of “{}” could not be looked at."),
    rq.Delete: ("Deleting “{}”", "“{}” could not be deleted."),
    rq.UndoDelete: ("Bringing “{}” back", "“{}” could not be brought back."),
    rq.PurgeDeleted: ("Freeing the space of “{}”", "The files of “{}” could not be removed for good."),
    rq.ReadDetails: ("Reading “{}”", "“{}” could not be read."),
    rq.TakeScreenshot: ("Taking a picture of “{}”", "The screen of “{}” could not be read."),
    rq.OpenConsole: ("Opening the display of “{}”", "The display of “{}” could not be opened."),
    rq.ListSerialDevices: ("Looking at the serial ports of “{}”", "The serial ports of “{}” could not be read."),
    rq.OpenSerial: ("Opening the serial console of “{}”", "The serial console of “{}” could not be opened."),
    rq.ReadCapabilities: ("Asking what “{}” can do", "“{}” could not say what it can do."),
    rq.InspectMedia: ("Looking at “{}”", "“{}” could not be looked at."),
    rq.CheckNewVm: ("Checking “{}”", "“{}” could not be checked."),
    rq.CreateVm: ("Creating “{}”", "“{}” could not be created."),
    rq.ReadSettings: ("Reading the settings of “{}”", "The settings of “{}” could not be read."),
    rq.ReadPending: ("Comparing “{}” with its definition", "“{}” could not be compared with its definition."),
    rq.CheckSettings: ("Checking the settings of “{}”", "The settings of “{}” could not be checked."),
    rq.ApplySettings: ("Changing the settings of “{}”", "The settings of “{}” could not be changed."),
    rq.GiveAccess: ("Giving QEMU access to “{}”", "QEMU could not be given access to “{}”."),
    rq.CreateDisk: ("Creating the disk “{}”", "The disk “{}” could not be created."),
    rq.DiscardDisk: ("Removing the disk “{}” again", "The disk “{}” could not be removed again."),
    rq.MeasureImage: ("Looking at “{}”", "“{}” could not be looked at."),
    rq.ReadQemuCommand: ("Writing the command line of “{}”", "The command line of “{}” could not be written."),
    rq.ReadNetworkFacts: ("Reading the networks of “{}”", "The networks of “{}” could not be read."),
    rq.ListNetworks: ("Reading the networks of “{}”", "The networks of “{}” could not be read."),
    rq.ProposeNetwork: ("Looking for free addresses on “{}”", "No free addresses could be found on “{}”."),
    rq.CheckNetwork: ("Checking the network “{}”", "The network “{}” could not be checked."),
    rq.CreateNetwork: ("Creating the network “{}”", "The network “{}” could not be created."),
    rq.ReadNetwork: ("Reading the network “{}”", "The network “{}” could not be read."),
    rq.ReadLeases: ("Reading the leases of “{}”", "The leases of “{}” could not be read."),
    rq.UpdateNetwork: ("Changing the network “{}”", "The network “{}” could not be changed."),
    rq.StartNetwork: ("Starting the network “{}”", "The network “{}” could not be started."),
    rq.StopNetwork: ("Stopping the network “{}”", "The network “{}” could not be stopped."),
    rq.SetNetworkAutostart: (
        "Changing the automatic start of “{}”",
        "The automatic start of “{}” could not be changed.",
    ),
    rq.DeleteNetwork: ("Deleting the network “{}”", "The network “{}” could not be deleted."),
    rq.ReadSnapshots: ("Reading the snapshots of “{}”", "The snapshots of “{}” could not be read."),
    rq.ReadSnapshotPicture: ("Reading a picture of “{}”", "The picture of “{}” could not be read."),
    rq.PlanOperation: ("Planning for “{}”", "What would happen to “{}” could not be found out."),
    rq.TakeSnapshot: ("Taking a snapshot of “{}”", "No snapshot of “{}” could be taken."),
    rq.RestoreSnapshot: ("Restoring “{}”", "“{}” could not be restored."),
    rq.UndoRestore: ("Undoing the restore of “{}”", "The restore of “{}” could not be undone."),
    rq.DeleteSnapshots: ("Deleting snapshots of “{}”", "The snapshots of “{}” could not be deleted."),
    rq.EditSnapshot: ("Renaming a snapshot of “{}”", "The snapshot of “{}” could not be renamed."),
    rq.ReadSnapshotPolicy: (
        "Reading the snapshot policy of “{}”",
        "The snapshot policy of “{}” could not be read.",
    ),
    rq.SetSnapshotPolicy: (
        "Changing the snapshot policy of “{}”",
        "The snapshot policy of “{}” could not be changed.",
    ),
    rq.CloneVm: ("Cloning “{}”", "“{}” could not be cloned."),
    rq.SetTemplate: ("Converting “{}”", "“{}” could not be converted."),
    rq.DetachClone: ("Detaching “{}” from its source", "“{}” could not be detached from its source."),
    rq.ResetIdentity: ("Giving “{}” an identity of its own", "“{}” could not be given an identity of its own."),
    rq.DismissIdentity: ("Settling the identity of “{}”", "The identity of “{}” could not be settled."),
    rq.StartDisposable: ("Starting “{}” for once", "“{}” could not be started."),
    rq.CreateSampleGuest: ("Creating the sample guest", "The sample guest could not be created."),
}


def subject(request: rq.Request[Any], vm_name: str, host_label: str) -> str:
    """Whom the words are about: the VM, the file, or the host."""
    match request:
        case rq.CheckNewVm(spec) | rq.CreateVm(spec):
            return spec.name
        case rq.UndoDelete(deleted) | rq.PurgeDeleted(deleted):
            return deleted.name
        case rq.InspectMedia(path=path) | rq.MeasureImage(path=path):
            return path.name
        case rq.GiveAccess(fix=fix) if fix.paths:
            return PurePosixPath(fix.paths[-1]).name
        case rq.CreateDisk(disk=NewDisk(path=name)) | rq.DiscardDisk(created=CreatedDisk(path=name)):
            return PurePosixPath(name).name
        case rq.CheckNetwork(spec=network) | rq.CreateNetwork(spec=network):
            return network.name
        case rq.NetworkRequest(name=name):
            return name
        case rq.VmRequest():
            return vm_name
        case _:
            return host_label


def title(request: rq.Request[Any], about: str) -> str:
    """Title of the job: "Starting “Debian”"."""
    words = _WORDS.get(type(request))
    return words[0].format(about) if words else type(request).__name__


def failed(request: rq.Request[Any], about: str) -> str:
    """First sentence of a failure: "“Debian” could not be started."."""
    words = _WORDS.get(type(request))
    return words[1].format(about) if words else f"{type(request).__name__} failed."
