"""libvirt's domain XML through typed properties. Holds no policy. Imports lxml: import it only where it is used."""
