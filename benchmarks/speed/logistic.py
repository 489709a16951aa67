"""Time an episode of the batched logistic regression beside scikit-learn's, and their agreement.

    python benchmarks/speed/logistic.py [--episodes 500] [--shots 1 5 20] [--json FILE]

Each run fits every episode and predicts its 75 queries. All start from the same float32 features
in memory. scikit-learn does episodes one by one, as its interface asks, in float32 and float64, at
its default tolerance and at a tight one. Contestants take turns, and the median of the repeats is
given. Fewer episodes are timed with scikit-learn when told: its time does not depend on how many.
"""

import numpy as np
import torch

Probabilities = np.ndarray


def make_episodes(
    episodes: int, n_way: int, n_shot: int, n_query: int, n_features: int, norm: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Support features and labels, query features and labels, of overlapping Gaussian classes."""
    g = torch.Generator().manual_seed(seed)
    centre_TND = torch.randn(episodes, n_way, n_features, generator=g)

    def draw(per_class: int) -> tuple[torch.Tensor, torch.Tensor]:
        y_S = torch.arange(n_way).repeat_interleave(per_class)
        # Features of a network are not round: few directions carry most of their variance.
        scale_D = torch.arange(1, n_features + 1) ** -0.5
        noise_TSD = torch.randn(episodes, len(y_S), n_features, generator=g)
        z_TSD = (0.7 * centre_TND[:, y_S] + noise_TSD) * scale_D
        z_TSD = torch.relu(z_TSD + 0.3 * scale_D)  # as after a network's last ReLU
        return norm * torch.nn.functional.normalize(z_TSD, dim=-1), y_S.expand(episodes, -1)

    return *draw(n_shot), *draw(n_query)
