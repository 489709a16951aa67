"""`fewshot check` catches broken learners, and names what is wrong with each."""

import random

import pytest
import torch
from torch.nn.functional import cross_entropy

from fewshot.backbones.conv4 import Conv4
from fewshot.errors import UserError
from fewshot.learners.protonet import ProtoNet, ProtoNetConfig
from fewshot.protocols import FeatureLearner, Learner
from fewshot.runner.conformance.outcomes import CHECKS, run_checks
from fewshot.runner.conformance.subject import Subject, make_subject


def faults(learner: type[Learner], *checks: str) -> dict[str, str]:
    """Messages of the failed checks, of all but learning if none are named."""
    subject = Subject(learner, learner.Config(), Conv4, Conv4.Config(4))
    names = checks or [name for name in CHECKS if "chance" not in name]
    return {o.name: o.message for o in run_checks(subject, names) if o.verdict == "failed"}


class SelfGrading(ProtoNet):
    """Remembers the query labels that `loss` saw, and answers with them."""

    def loss(self, batch):
        self.answers_TQ = batch.y_TM[:, batch.n_support :]
        return super().loss(batch)

    def predict_features(self, state, query_z_TQD):
        logits_TQN = super().predict_features(state, query_z_TQD)
        answers_TQ = getattr(self, "answers_TQ", None)
        if answers_TQ is None or answers_TQ.shape != logits_TQN.shape[:2]:
            return logits_TQN
        return logits_TQN + 100 * torch.nn.functional.one_hot(answers_TQ, logits_TQN.shape[-1])


class LeakingQueryStatistics(ProtoNet):
    """Centres the queries by their own mean, and does not say so."""

    def predict_features(self, state, query_z_TQD):
        centre_T1D = query_z_TQD.mean(1, keepdim=True)
        return super().predict_features(state - centre_T1D, query_z_TQD - 2 * centre_T1D)


class GlobalRandomness(ProtoNet):
    """Breaks ties with noise from the stream that all share."""

    def predict_features(self, state, query_z_TQD):
        logits_TQN = super().predict_features(state, query_z_TQD)
        return logits_TQN + 1e-3 * torch.randn_like(logits_TQN)


class MutatingAdapt(ProtoNet):
    """Counts in a buffer how often it adapted."""

    def __init__(self, backbone, config, n_classes):
        super().__init__(backbone, config, n_classes)
        self.register_buffer("count", torch.zeros(()))

    def adapt_features(self, support_z_TSD, support_y_TS, n_way):
        self.count += 1
        return super().adapt_features(support_z_TSD, support_y_TS, n_way)


class OrderDependence(ProtoNet):
    """Takes the last support image of a class for the whole class."""

    def adapt_features(self, support_z_TSD, support_y_TS, n_way):
        last_TN = torch.stack(
            [
                ((support_y_TS == n) * torch.arange(support_y_TS.shape[1])).amax(1)
                for n in range(n_way)
            ],
            dim=1,
        )
        return support_z_TSD[torch.arange(len(last_TN))[:, None], last_TN]


class ConstantLogits(ProtoNet):
    """Says the same of every query."""

    def predict_features(self, state, query_z_TQD):
        return super().predict_features(state, query_z_TQD).mean(1, keepdim=True) + torch.zeros(
            query_z_TQD.shape[1], 1
        )


class NotANumber(ProtoNet):
    """Divides by the spread of a class's support, which one shot does not have."""

    def adapt_features(self, support_z_TSD, support_y_TS, n_way):
        means = super().adapt_features(support_z_TSD, support_y_TS, n_way)
        shots = support_z_TSD.shape[1] / n_way
        return means * (shots - 1) / (shots - 1)


BROKEN = [
    (SelfGrading, "query labels do not leak", "label leak"),
    (LeakingQueryStatistics, "inductive as declared", "leaks query statistics"),
    (GlobalRandomness, "no global randomness", "global random stream of torch"),
    (MutatingAdapt, "adapting changes nothing", "changes the learner: count"),
    (OrderDependence, "support order", "order of the support"),
    (ConstantLogits, "logits depend on queries", "constant logits"),
    (NotANumber, "shapes and numbers", "nan or infinity"),
]


@pytest.mark.parametrize(
    ("learner", "check", "message"), BROKEN, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_broken_learner_is_caught_and_its_fault_is_named(learner, check, message):
    assert message in faults(learner, check)[check]


def test_a_sound_learner_has_no_fault():
    assert faults(ProtoNet) == {}


class PythonsRandomness(ProtoNet):
    """Draws from the module `random` in training."""

    def loss(self, batch):
        return super().loss(batch) * (1 + random.random())


class FalselyTransductive(ProtoNet):
    """Declares what it does not do."""

    transductive = True


class TiedToLabels(ProtoNet):
    """Favours the first label."""

    def predict_features(self, state, query_z_TQD):
        logits_TQN = super().predict_features(state, query_z_TQD)
        return logits_TQN + torch.arange(logits_TQN.shape[-1])


class DeadParameter(ProtoNet):
    """Has a weight that nothing uses."""

    def __init__(self, backbone, config, n_classes):
        super().__init__(backbone, config, n_classes)
        self.unused = torch.nn.Parameter(torch.ones(3))


class Forgetful(ProtoNet):
    """Keeps what it learned where state_dict does not see it."""

    def __init__(self, backbone, config, n_classes):
        super().__init__(backbone, config, n_classes)
        self.shift = torch.nn.Parameter(torch.ones(()))

    def state_dict(self, *args, **kwargs):
        whole = super().state_dict(*args, **kwargs)
        return {k: torch.ones_like(v) if k == "shift" else v for k, v in whole.items()}

    def predict_features(self, state, query_z_TQD):
        return self.shift * super().predict_features(state, query_z_TQD)


class Hoarding(ProtoNet):
    """Keeps every loss, and with it every graph."""

    def loss(self, batch):
        self.losses = [*getattr(self, "losses", []), super().loss(batch)]
        return self.losses[-1]


class TwoWays(ProtoNet):
    """Adapts on images otherwise than on features."""

    def predict(self, state, query_x_TQCHW):
        return 2 * super().predict(state, query_x_TQCHW)


class AcrossEpisodes(ProtoNet):
    """Scales by a mean over the whole batch of episodes."""

    def adapt_features(self, support_z_TSD, support_y_TS, n_way):
        means = super().adapt_features(support_z_TSD, support_y_TS, n_way)
        return means / support_z_TSD.abs().mean()


class TwoOutputs(ProtoNet):
    """Its loss is one number for each episode."""

    def loss(self, batch):
        return super().loss(batch).expand(3)


@pytest.mark.parametrize(
    ("learner", "check", "message"),
    [
        (PythonsRandomness, "no global randomness", "global random stream of random"),
        (FalselyTransductive, "inductive as declared", "declared transductive, but"),
        (TiedToLabels, "relabelling", "label_tied"),
        (DeadParameter, "gradients reach every parameter", "no gradient reaches unused"),
        (Forgetful, "saves and loads", "not in its state_dict"),
        (Hoarding, "memory stays flat", "memory grows"),
        (TwoWays, "features equal images", "other logits"),
        (AcrossEpisodes, "episodes are apart", "other episodes of its batch"),
        (TwoOutputs, "gradients reach every parameter", "one finite number"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_each_check_can_fail(learner, check, message):
    assert message in faults(learner, check)[check]


class Guessing(FeatureLearner):
    """Learns nothing: its logits are a fixed random map of the features."""

    Config = ProtoNetConfig
    trains_on = "episodes"

    def loss(self, batch):
        z_TMD = self.embed_episodes(batch.x_TMCHW)
        return cross_entropy(z_TMD[..., : batch.n_way].flatten(0, 1), batch.y_TM.flatten()) * 0

    def adapt_features(self, support_z_TSD, support_y_TS, n_way):
        return n_way

    def predict_features(self, state, query_z_TQD):
        return query_z_TQD[..., :state]


def test_a_learner_that_learns_nothing_is_not_above_chance():
    assert "no better than chance" in faults(Guessing, "above chance")["above chance"]


class KnowsTheTest(ProtoNet):
    """Sorts the classes of glyphs by name, whatever the support labels say."""

    def adapt_features(self, support_z_TSD, support_y_TS, n_way):
        support_y_TS = torch.arange(n_way).repeat_interleave(support_y_TS.shape[1] // n_way)
        return super().adapt_features(
            support_z_TSD, support_y_TS.expand(len(support_z_TSD), -1), n_way
        )


def test_a_learner_that_needs_no_labels_is_caught():
    """It relies on the order in which the harness hands the support, class by class."""
    name = "chance on shuffled labels"
    assert "knows the labels from elsewhere" in faults(KnowsTheTest, name)[name]


def test_an_exception_is_a_failure_with_its_message():
    class Raising(ProtoNet):
        def predict_features(self, state, query_z_TQD):
            raise ValueError("no such head\nand more")

    name = "shapes and numbers"
    assert faults(Raising, name)[name] == "raised ValueError: no such head"


def test_each_check_is_told_and_timed():
    told = []
    (outcome,) = run_checks(make_subject("pixels", "conv4"), ["support order"], told.append)
    assert told == ["support order"]
    assert outcome.seconds > 0


def test_a_check_that_says_nothing_is_skipped_with_its_reason():
    (outcome,) = run_checks(make_subject("maml", "conv4"), ["relabelling"])
    assert (outcome.verdict, outcome.message) == (
        "skipped",
        "its head is tied to labels, as declared",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("protonett", "conv4"), "did you mean 'protonet'"),
        (("protonet", "conv5"), "did you mean 'conv4'"),
        (("protonet", "conv4", ["scal=2"]), "did you mean 'scale'"),
        (("protonet", "conv4", ["scale=much"]), "scale"),
    ],
)
def test_a_mistake_in_what_to_check_is_named(arguments, message):
    with pytest.raises(UserError, match=message):
        make_subject(*arguments)


def test_settings_reach_the_learner():
    assert make_subject("protonet", "conv4", ["scale=2"]).build().config.scale == 2
