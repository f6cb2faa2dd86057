import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Bernoulli, Normal, kl_divergence


class CVAE(nn.Module):
    def __init__(self, input_size=784, latent_size=20, num_classes=10, hidden_units=400):
        super().__init__()
        self.hidden = nn.ModuleList(
            [
                nn.Linear(input_size + num_classes, hidden_units),
                nn.Linear(hidden_units, hidden_units),
            ]
        )
        self.out_mu, self.out_logvar = (nn.Linear(hidden_units, latent_size) for _ in range(2))
        self.up = nn.ModuleList(
            [
                nn.Linear(latent_size + num_classes, hidden_units),
                nn.Linear(hidden_units, hidden_units),
            ]
        )
        self.pixels = nn.Linear(hidden_units, input_size)

    def recognition_model(self, x, c):
        h = torch.cat([x, c], dim=-1)
        for layer in self.hidden:
            h = F.relu(layer(h))
        return self.out_mu(h), self.out_logvar(h)

    def reparametrize(self, mu, logvar):
        eps = torch.normal(torch.zeros_like(mu), torch.ones_like(mu))
        return eps.mul(logvar.mul(0.5).exp()).add(mu)

    def generation_model(self, z, c):
        h = torch.cat([z, c], dim=-1)
        for layer in self.up:
            h = F.relu(layer(h))
        return torch.sigmoid(self.pixels(h))

    def forward(self, x, c):
        mu, logvar = self.recognition_model(x, c)
        z = self.reparametrize(mu, logvar)
        return self.generation_model(z, c), mu, logvar


def loss_function(x_hat, x, mu, logvar):
    q, prior = Normal(mu, torch.exp(logvar / 2)), Normal(torch.zeros_like(mu), torch.ones_like(mu))
    log_p = Bernoulli(x_hat, validate_args=False).log_prob(x).sum(1)
    return torch.mean(kl_divergence(q, prior).sum(1) - log_p)
