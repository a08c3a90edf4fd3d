"""Where a lab runs: processes of this machine (``local``) or containers (``docker``), behind one protocol (``runtime``)."""
