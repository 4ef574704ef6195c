"""INTERNAL mode: libvirt's snapshots inside the qcow2 images."""
