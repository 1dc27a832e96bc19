import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


def build_mlp(input_dim, n_layers, hidden_units, output_dim):
    net = nn.Sequential()
    sizes = [input_dim] + [hidden_units] * n_layers + [output_dim]
    i = 0
    while i < len(sizes) - 1:
        net.add_module("dense%d" % i, nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            net.add_module("act%d" % i, nn.ReLU())
        i += 1
    return net


def extract_model_params(model):
    chunks = []
    for weight in model.parameters():
        chunks.append(weight.data.view(-1))
    return torch.cat(chunks)


def load_params_into_model(model, all_params):
    offset = 0
    for weight in model.parameters():
        n = weight.numel()
        chunk = all_params[offset:offset + n]
        weight.data = chunk.view(weight.size()).clone()
        offset = offset + n


def train_epoch(model, loader, criterion, optimizer):
    model.train()
    loss_sum = 0.0
    seen = 0
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        scores = model(x)
        batch_loss = criterion(scores, y)
        batch_loss.backward()
        optimizer.step()
        loss_sum = loss_sum + batch_loss.item() * x.size(0)
        seen = seen + x.size(0)
    flat = extract_model_params(model).cpu().numpy().copy()
    return loss_sum / seen, flat


def evaluate(model, loader):
    model.eval()
    hits, seen = 0, 0
    with torch.no_grad():
        for x, y in loader:
            scores = model(x)
            _, guess = torch.max(scores, 1)
            for a, b in zip(guess.tolist(), y.tolist()):
                if a == b:
                    hits += 1
                seen += 1
    return hits / seen


def compute_loss(model, loader, criterion):
    model.eval()
    loss_sum, seen = 0.0, 0
    with torch.no_grad():
        for x, y in loader:
            scores = model(x)
            value = criterion(scores, y)
            loss_sum += float(value) * x.shape[0]
            seen += x.shape[0]
    return loss_sum / seen


def hyperparam_tuning(train_dataset, val_dataset, seed=541):
    rng = np.random.RandomState(seed)
    winner, winner_score = None, -1.0
    val_loader = DataLoader(val_dataset, batch_size=64, shuffle=False)
    trial = 0
    while trial < 12:
        layers = int(rng.randint(2, 5))
        units = int(rng.choice([10, 20, 40]))
        lr = float(rng.choice([0.1, 0.03, 0.01]))
        batch = int(rng.choice([8, 16, 32]))
        epochs = int(rng.choice([2, 3]))
        l2 = float(rng.choice([1e-3, 1e-4]))
        torch.manual_seed(seed + trial)
        net = build_mlp(784, layers, units, 10)
        decay, no_decay = [], []
        for name, weight in net.named_parameters():
            if name.endswith("bias"):
                no_decay.append(weight)
            else:
                decay.append(weight)
        groups = [{"params": decay, "weight_decay": l2}, {"params": no_decay, "weight_decay": 0.0}]
        opt = torch.optim.SGD(groups, lr=lr)
        train_loader = DataLoader(train_dataset, batch_size=batch, shuffle=True)
        for _ in range(epochs):
            train_epoch(net, train_loader, nn.CrossEntropyLoss(), opt)
        score = evaluate(net, val_loader)
        if score > winner_score:
            winner = dict(layers=layers, units=units, lr=lr, batch=batch, epochs=epochs, l2=l2)
            winner_score = score
        trial += 1
    return winner, winner_score


def build_enhanced_mlp(input_dim, n_layers, hidden_units, output_dim, use_batchnorm, dropout_rate, activation):
    net = nn.Sequential()
    size = input_dim
    for i in range(n_layers):
        net.add_module("dense%d" % i, nn.Linear(size, hidden_units))
        if use_batchnorm:
            net.add_module("norm%d" % i, nn.BatchNorm1d(hidden_units))
        if activation == "relu":
            net.add_module("act%d" % i, nn.ReLU())
        elif activation == "leaky":
            net.add_module("act%d" % i, nn.LeakyReLU(0.01))
        elif activation == "prelu":
            net.add_module("act%d" % i, nn.PReLU())
        else:
            net.add_module("act%d" % i, nn.ELU())
        if dropout_rate > 0:
            net.add_module("drop%d" % i, nn.Dropout(p=dropout_rate))
        size = hidden_units
    net.add_module("last", nn.Linear(size, output_dim))
    return net


def prepare_data(batch_size=128):
    train_x = np.load("fashion_mnist_train_images.npy")
    test_x = np.load("fashion_mnist_test_images.npy")
    train_x = torch.tensor(train_x, dtype=torch.float32) / 255.0
    test_x = torch.tensor(test_x, dtype=torch.float32) / 255.0
    train_x = train_x.view(train_x.size(0), -1)
    test_x = test_x.view(test_x.size(0), -1)
    train_loader = DataLoader(TensorDataset(train_x), batch_size=batch_size, shuffle=True)
    test_loader = DataLoader(TensorDataset(test_x), batch_size=batch_size, shuffle=False)
    return train_loader, test_loader


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 128)
        self.fc4 = nn.Linear(128, 784)

    def encode(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return x

    def forward(self, x):
        z = self.encode(x)
        z = torch.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(z))


def train_autoencoder(model, loader, epochs=20, lr=1e-3):
    opt = torch.optim.Adam(model.parameters(), lr=lr)
    history = []
    for epoch in range(epochs):
        model.train()
        loss_sum, batches = 0.0, 0
        for (x,) in loader:
            opt.zero_grad()
            copy = model(x)
            error = nn.functional.mse_loss(copy, x)
            error.backward()
            opt.step()
            loss_sum += error.item()
            batches += 1
        history.append(loss_sum / batches)
    return model, history


if __name__ == "__main__":
    hyperparam_tuning(None, None)
