"""The manifests of a Kubernetes deployment: they parse, fit together, and hold a configuration that loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from langchain_llmdispatch.config.redis import RedisConfig
from langchain_llmdispatch.config.schema import DispatcherConfig

FOLDER = Path(__file__).parents[2] / "docs" / "kubernetes"


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Return all objects, by kind and name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml*"))]
    objects = [each for text in texts for each in yaml.safe_load_all(text)]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def test_every_object_is_there() -> None:
    """A deployment with its service, configuration and secret, and Redis with its own."""
    assert set(manifests()) == {
        ("ConfigMap", "llmdispatch"),
        ("Deployment", "llmdispatch"),
        ("Service", "llmdispatch"),
        ("Secret", "llmdispatch"),
        ("StatefulSet", "llmdispatch-redis"),
        ("Service", "llmdispatch-redis"),
    }


def test_services_select_the_pods_and_name_their_ports() -> None:
    """Labels and ports fit."""
    objects = manifests()
    for name, kind in (("llmdispatch", "Deployment"), ("llmdispatch-redis", "StatefulSet")):
        spec, service = objects[kind, name]["spec"], objects["Service", name]["spec"]
        assert (
            spec["selector"]["matchLabels"] == service["selector"] == spec["template"]["metadata"]["labels"]
        )
        ports = {each["name"] for each in spec["template"]["spec"]["containers"][0]["ports"]}
        assert {each["targetPort"] for each in service["ports"]} <= ports


def test_the_configuration_loads_with_the_variables_of_the_secret() -> None:
    """Every `${NAME}` is in the secret; the server may bind, and the replicas share at the service of Redis."""
    objects = manifests()
    text = objects["ConfigMap", "llmdispatch"]["data"]["dispatch.yaml"]
    config = DispatcherConfig.load(yaml.safe_load(text), objects["Secret", "llmdispatch"]["stringData"])
    assert config.server is not None
    assert config.server.api_keys
    assert isinstance(config.redis, RedisConfig)
    assert config.redis.url is not None
    assert "@llmdispatch-redis:6379" in config.redis.url.get_secret_value()
    assert config.redis.processes == objects["Deployment", "llmdispatch"]["spec"]["replicas"]


def test_the_command_is_the_image_s_own() -> None:
    """The Dockerfile's entry point with these arguments serves the mounted file."""
    (container,) = manifests()["Deployment", "llmdispatch"]["spec"]["template"]["spec"]["containers"]
    folder = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "config")
    assert container["args"] == ["serve", "--config", f"{folder}/dispatch.yaml"]
