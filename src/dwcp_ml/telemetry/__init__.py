"""What the data is: schema, simulator, ingest, contract, split, windows."""
