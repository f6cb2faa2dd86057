import torch
from torch import nn


class CVAE(nn.Module):
    def __init__(self, input_size, num_classes=10, latent_size=20, hidden_units=400):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(input_size + num_classes, hidden_units), nn.ReLU(),
            nn.Linear(hidden_units, hidden_units), nn.ReLU(),
        )  # fmt: skip
        self.mu = nn.Linear(hidden_units, latent_size)
        self.logvar = nn.Linear(hidden_units, latent_size)
        self.decoder = nn.Sequential(
            nn.Linear(latent_size + num_classes, hidden_units), nn.ReLU(),
            nn.Linear(hidden_units, hidden_units), nn.ReLU(),
            nn.Linear(hidden_units, input_size), nn.Sigmoid(),
        )  # fmt: skip

    def recognition_model(self, x, c):
        h = self.encoder(torch.cat((x, c), 1))
        return self.mu(h), self.logvar(h)

    def generation_model(self, z, c):
        return self.decoder(torch.cat((z, c), 1))

    def forward(self, x, c):
        mu, logvar = self.recognition_model(x, c)
        std = torch.exp(0.5 * logvar)
        z = mu + std * torch.randn_like(std)
        return self.generation_model(z, c), mu, logvar


def loss_function(x_hat, x, mu, logvar):
    BCE = nn.functional.binary_cross_entropy(x_hat, x, reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (BCE + KLD) / x.shape[0]
