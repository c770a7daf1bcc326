"""What a genome costs: parameters, FLOPs, latency, and limits on them."""
