"""What can be set on a VM: every option, declared once, for the dialog, the command line and the list of changes.

No libvirt, no Qt, no files: only the typed XML (:mod:`guivm.engine.xml`) and what is known of the host (:mod:`facts`).
Imports lxml: import it only where it is used.
"""
