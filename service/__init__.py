"""HTTP. Never imports torch, never runs a job."""
