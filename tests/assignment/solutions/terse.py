import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn, optim
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(541)
criterion = nn.CrossEntropyLoss()

def build_mlp(d, L, h, k):
    dims = [d, *[h] * L]
    hidden = [m for a, b in zip(dims, dims[1:]) for m in (nn.Linear(a, b), nn.ReLU(inplace=True))]
    return nn.Sequential(*hidden, nn.Linear(dims[-1], k))

extract_model_params = lambda model: parameters_to_vector(model.parameters()).detach()

def load_params_into_model(model, theta):
    with torch.no_grad():
        i = 0
        for p in model.parameters():
            p.data.copy_(theta[i:i + p.numel()].reshape_as(p)); i += p.numel()

def train_epoch(net, data, crit, opt):
    net.train()
    losses, ns = [], []
    for X, t in data:
        J = crit(net(X), t)
        J.backward()
        opt.step()
        opt.zero_grad()
        losses.append(J.item()); ns.append(len(X))
    return np.average(losses, weights=ns), extract_model_params(net).numpy()

def evaluate(net, data):
    net.eval()
    with torch.inference_mode():
        ok = [net(X).argmax(1).eq(t) for X, t in data]
    return torch.cat(ok).float().mean().item()

def compute_loss(net, data, crit):
    net.eval()
    with torch.inference_mode():
        pairs = [(crit(net(X), t).item(), len(X)) for X, t in data]
    return sum(l * n for l, n in pairs) / sum(n for _, n in pairs)

def hyperparam_tuning(D, V, seed=541):
    grid = [(L, h, lr, bs, wd) for L in (1, 2) for h in (16, 32) for lr in (.1, .01) for bs in (8, 24) for wd in (0, 1e-3)]
    results = []
    for i, (L, h, lr, bs, wd) in enumerate(grid):
        torch.manual_seed(seed + i)
        net = build_mlp(784, L, h, 10)
        W = [p for n, p in net.named_parameters() if 'weight' in n]
        b = [p for n, p in net.named_parameters() if 'bias' in n]
        opt = optim.SGD([dict(params=W, weight_decay=wd), dict(params=b, weight_decay=0)], lr=lr)
        data = DataLoader(D, bs, True)
        for epoch in range(2): train_epoch(net, data, criterion, opt)
        acc = evaluate(net, DataLoader(V, len(V)))
        results.append((acc, i, dict(L=L, h=h, lr=lr, bs=bs, wd=wd, epochs=2)))
    acc, _, cfg = max(results, key=lambda r: r[0])
    return cfg, 100 * acc

def build_enhanced_mlp(d, L, h, k, bn, p, act):
    acts = dict(relu=nn.ReLU, leaky_relu=lambda: nn.LeakyReLU(.01), elu=nn.ELU, prelu=nn.PReLU)
    dims, mods = [d] + [h] * L, []
    for a, b in zip(dims, dims[1:]):
        mods += [nn.Linear(a, b)] + [nn.BatchNorm1d(b)] * bool(bn) + [acts[act]()] + [nn.Dropout(p)] * (p > 0)
    return nn.Sequential(*mods, nn.Linear(h, k))

def prepare_data(batch_size=128):
    X = {s: np.load(f'data/fashion_mnist_{s}_images.npy') for s in ('train', 'test')}
    y = {s: np.load(f'data/fashion_mnist_{s}_labels.npy') for s in ('train', 'test')}
    sets = {s: TensorDataset(torch.FloatTensor(X[s].reshape(-1, 28 * 28)).div(255), torch.LongTensor(y[s])) for s in X}
    return DataLoader(sets['train'], batch_size, True), DataLoader(sets['test'], batch_size)

class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64))
        self.decoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid())
    encode = lambda self, x: self.encoder(x)
    forward = lambda self, x: self.decoder(self.encoder(x))

def train_autoencoder(model, loader, epochs=20, lr=1e-3):
    opt, L = optim.Adam(model.parameters(), lr=lr), []
    for e in range(epochs):
        model.train()
        tot = 0
        for X, _ in loader:
            X = X.reshape(len(X), -1)
            J = ((model(X) - X) ** 2).mean()
            opt.zero_grad(); J.backward(); opt.step()
            tot += J.item() * len(X)
        L.append(tot / len(loader.dataset))
    return model, L

train_loader, test_loader = prepare_data()
ae, hist = train_autoencoder(Autoencoder(), train_loader, epochs=1)
plt.plot(hist); plt.show()
