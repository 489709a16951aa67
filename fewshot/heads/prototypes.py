"""Class means as prototypes, and squared distances to them as logits.

Axes: T episodes, N way, S support images, Q query images, D features.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fewshot.heads.support import at_least_float32


def class_means(z_TSD: Tensor, y_TS: Tensor, n_way: int) -> Tensor:
    """Return the mean feature of each class, prototypes_TND; shots may be unequal.

    prototypes[t, n] = mean of z[t, s] over the s with y[t, s] = n (Snell, Swersky and Zemel,
    "Prototypical Networks for Few-shot Learning", 2017, equation 1). Differentiable.

    z_TSD: features. y_TS: integer labels 0 .. n_way-1.
    Half-precision features give float32 prototypes, also under autocast; others keep their type.
    A class without support gives nan: to look for one would stall a GPU at every training step.
    """
    z_TSD = at_least_float32(z_TSD)
    member_TSN = one_hot(y_TS, n_way).to(z_TSD.dtype)
    with torch.autocast(z_TSD.device.type, enabled=False):
        sum_TND = member_TSN.mT @ z_TSD
    return sum_TND / member_TSN.sum(1).unsqueeze(-1)


def squared_euclidean_logits(query_z_TQD: Tensor, prototypes_TND: Tensor) -> Tensor:
    """Return logits_TQN = -||q - p||^2 of each query feature q and prototype p. Differentiable.

    The distance is *squared*, as in the code of Snell et al. (2017), and neither halved, divided
    by D nor multiplied by a temperature. A query on its prototype may come out a rounding error
    above 0. Half-precision features give float32 logits, also under autocast.
    """
    query_z_TQD = at_least_float32(query_z_TQD)
    prototypes_TND = at_least_float32(prototypes_TND)
    # ||q||^2 + ||p||^2 - 2 q.p takes one matmul and no T*Q*N*D tensor, but it loses digits when
    # features lie far from the origin (as after a ReLU) and near each other. Distances do not
    # change when both move by the same vector, so the prototypes' mean becomes the origin.
    centre_T1D = prototypes_TND.mean(1, keepdim=True)
    query_z_TQD = query_z_TQD - centre_T1D
    prototypes_TND = prototypes_TND - centre_T1D
    with torch.autocast(query_z_TQD.device.type, enabled=False):
        product_TQN = query_z_TQD @ prototypes_TND.mT
    query_norm_TQ1 = query_z_TQD.square().sum(-1, keepdim=True)
    prototype_norm_T1N = prototypes_TND.square().sum(-1).unsqueeze(1)
    return 2 * product_TQN - query_norm_TQ1 - prototype_norm_T1N
