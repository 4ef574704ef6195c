"""The settings of one VM: a list of its parts and devices, and a form for each. Imported when first opened."""
