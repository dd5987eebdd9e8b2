"""Where artifact snapshots lie. Behind the port SnapshotStore."""
