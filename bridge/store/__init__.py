"""What the bridge keeps: the tables, the work engine, the ledger."""
