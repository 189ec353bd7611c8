"""Deployment configurations of the three kinds."""

from __future__ import annotations

import pytest

from modelyard.endpoints import AciWebservice, AksWebservice, LocalWebservice
from modelyard.endpoints.deploy_config import labels
from modelyard.errors import NotYetAvailable, UserErrorException


def test_defaults_are_those_of_v1():
    local, aci, aks = (
        kind.deploy_configuration() for kind in (LocalWebservice, AciWebservice, AksWebservice)
    )
    assert [c.auth_enabled for c in (local, aci, aks)] == [False, False, True]
    assert [c.compute_type for c in (local, aci, aks)] == ["LOCAL", "ACI", "AKS"]
    assert (aci.cpu_cores, aci.memory_gb, aks.scoring_timeout_s, aks.replicas, local.port) == (
        0.1,
        0.5,
        60.0,
        1,
        0,
    )


def test_what_is_given_is_honoured_or_recorded():
    aks = AksWebservice.deploy_configuration(
        num_replicas=3,
        scoring_timeout_ms=1500,
        cpu_cores=2,
        enable_app_insights=True,
        primary_key="k",
        tags={"a": 1},
    )
    assert (aks.replicas, aks.scoring_timeout_s) == (3, 1.5)
    assert aks.recorded() == {
        "cpu_cores": 2, "memory_gb": 0.5, "num_replicas": 3, "scoring_timeout_ms": 1500, "enable_app_insights": True,
    }  # fmt: skip
    assert LocalWebservice.deploy_configuration(port=6789).port == 6789


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        (AciWebservice, {"cpu_cores": 0}, "cpu_cores must be a number over 0, not 0"),
        (AciWebservice, {"memory_gb": "1"}, "memory_gb"),
        (AciWebservice, {"tags": ["a"]}, "tags must be a dictionary"),
        (AciWebservice, {"primary_key": "k"}, "need auth_enabled=True"),
        (AksWebservice, {"num_replicas": 0}, "num_replicas must be a whole number from 1"),
        (AksWebservice, {"num_replicas": 1.5}, "num_replicas"),
        (AksWebservice, {"autoscale_min_replicas": 4, "autoscale_max_replicas": 2}, "is over"),
        (LocalWebservice, {"port": 0}, "port"),
        (LocalWebservice, {"port": 70000}, "at most 65535"),
        (LocalWebservice, {"port": "6789"}, "port"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(kind, arguments, said):
    with pytest.raises(UserErrorException, match=said):
        kind.deploy_configuration(**arguments)


def test_what_is_not_there_yet_says_what_is():
    with pytest.raises(NotYetAvailable, match="proxy"):
        AciWebservice.deploy_configuration(ssl_enabled=True)
    with pytest.raises(NotYetAvailable, match="get_keys"):
        AksWebservice.deploy_configuration(token_auth_enabled=True)


def test_keys_are_neither_printed_nor_recorded(capsys):
    configuration = AciWebservice.deploy_configuration(auth_enabled=True, primary_key="s3cret", cpu_cores=1)
    configuration.print_deploy_configuration()
    assert "s3cret" not in capsys.readouterr().out + str(configuration.recorded())


def test_labels_are_text():
    assert labels("tags", {"n": 1, "none": None, 2: "two"}) == {"n": "1", "none": "", "2": "two"}
