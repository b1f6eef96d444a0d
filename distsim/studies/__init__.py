"""Many runs for one answer: against the exact law, sweeps, speed, scaling."""
