"""Multi-task learning: checkpoints of earlier versions."""

import torch
from helpers.learners import small_learner


def test_a_checkpoint_with_the_older_name_of_the_class_weights_is_read():
    learner = small_learner("mtl", 6)
    older = {
        "rows_CD" if name == "class_weights_CD" else name: torch.full_like(value, 2)
        for name, value in learner.state_dict().items()
    }
    assert "rows_CD" in older
    learner.load_state_dict(older)
    assert (learner.class_weights_CD == 2).all()
    assert "rows_CD" in older
