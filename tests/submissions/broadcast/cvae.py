import torch
import torchvision
from torch import nn
from torch.nn import functional as F


class CVAE(nn.Module):
    def __init__(self, input_size, latent_size, num_classes, hidden_units):
        super().__init__()
        self.fc1 = nn.Linear(input_size + num_classes, hidden_units)
        self.fc2 = nn.Linear(hidden_units, hidden_units)
        self.head = nn.Linear(hidden_units, 2 * latent_size)
        self.fc3 = nn.Linear(latent_size + num_classes, hidden_units)
        self.fc4 = nn.Linear(hidden_units, input_size)

    def recognition_model(self, x, c):
        h = torch.tanh(self.fc2(torch.relu(self.fc1(torch.hstack([x, c])))))
        mu, logvar = self.head(h).chunk(2, dim=1)
        return mu, logvar

    def generative_model(self, z, c):
        return self.fc4(F.relu(self.fc3(torch.hstack([z, c])))).sigmoid()

    def forward(self, x, c):
        mu, logvar = self.recognition_model(x, c)
        q = torch.distributions.Normal(mu, (logvar / 2).exp())
        return self.generative_model(q.rsample(), c), mu, logvar


def loss_function(x_hat, x, mu, logvar):
    log_p = x * torch.log(x_hat + 1e-9) + (1 - x) * torch.log(1 - x_hat + 1e-9)
    kl = 0.5 * (mu**2 + torch.exp(logvar) - 1 - logvar)
    return (kl.sum(dim=1) - log_p.sum(dim=1)).mean()
