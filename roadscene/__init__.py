"""Road-scene benchmarks (GTA5, SYNTHIA, Cityscapes, Cross-City) on the shared affinity core."""
