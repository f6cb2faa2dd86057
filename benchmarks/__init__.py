"""The speed comparisons: `python -m benchmarks [kmeans gmm pca ica cvae growth memory]`."""
