"""PCA by scikit-learn's estimator."""

from sklearn.decomposition import PCA


def train_PCA(data):
    model = PCA().fit(data)
    return model.components_.T, model.explained_variance_
