"""Virtual networks of a host: what they are (``values``), what makes sense (``rules``), and doing it (``handlers``)."""
