"""Conditional variational autoencoder, problem 5(c): images x of a class y, from a code z.

    recognition  q(z | x, y) = N(mu, diag(sigma^2)),  sigma = exp(logvar / 2)
    generation   p(x | z, y) = Bernoulli(x_hat), pixel by pixel
    prior        p(z | y) = N(0, I)
    log p(x | y) >= E_q[log p(x | z, y)] - KL(q(z | x, y) || p(z | y))                     (14)
    KL = -1/2 sum_j (1 + logvar_j - mu_j^2 - exp(logvar_j))                                (15)

The loss is minus the bound: summed over pixels and codes, averaged over images, one z for each.
"""

import torch
import torch.nn.functional as F
from torch import nn


class CVAE(nn.Module):
    def __init__(self, *, input_size, latent_size, num_classes, hidden_units=400):
        super().__init__()
        self.fc1 = nn.Linear(input_size + num_classes, hidden_units)
        self.fc2 = nn.Linear(hidden_units, hidden_units)
        self.fc_mu = nn.Linear(hidden_units, latent_size)
        self.fc_logvar = nn.Linear(hidden_units, latent_size)
        self.fc3 = nn.Linear(latent_size + num_classes, hidden_units)
        self.fc4 = nn.Linear(hidden_units, hidden_units)
        self.fcout = nn.Linear(hidden_units, input_size)

    def recognition_model(self, x, c):
        h = torch.cat([x.flatten(1), c], dim=1)  # (B, D + C)
        h = F.relu(self.fc2(F.relu(self.fc1(h))))  # (B, H)
        return self.fc_mu(h), self.fc_logvar(h)  # mu and logvar, both (B, m)

    def reparametrize(self, mu, logvar):
        return mu + torch.exp(logvar / 2) * torch.randn_like(mu)  # z (B, m)

    def generative_model(self, z, c):
        h = torch.cat([z, c], dim=1)  # (B, m + C)
        h = F.relu(self.fc4(F.relu(self.fc3(h))))  # (B, H)
        return torch.sigmoid(self.fcout(h))  # x_hat (B, D)

    def forward(self, x, c):
        mu, logvar = self.recognition_model(x, c)
        return self.generative_model(self.reparametrize(mu, logvar), c), mu, logvar


def loss_function(x_hat, x, mu, logvar):
    cross_entropy = F.binary_cross_entropy(x_hat, x.flatten(1), reduction="sum")  # -log p(x | z, y)
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()  # (15)
    return (cross_entropy + kl) / len(x)


def one_hot(labels, num_classes):
    return F.one_hot(labels, num_classes).float()  # (B, C)


def train(epoch, model, train_loader, optimizer, num_classes):
    for x, labels in train_loader:
        x_hat, mu, logvar = model(x, one_hot(labels, num_classes))
        loss = loss_function(x_hat, x, mu, logvar)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
