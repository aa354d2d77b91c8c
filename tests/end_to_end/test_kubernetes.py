"""The manifests of a Kubernetes deployment: they parse, fit together, and hold a configuration that loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.config.redis import RedisConfig
from langchain_llmdispatch.server.serve import GRACE

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
        ("PodDisruptionBudget", "llmdispatch"),
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
    names = objects["Secret", "llmdispatch"]["stringData"]
    config = DispatcherConfig.load(yaml.safe_load(text), dict.fromkeys(names, "abcdef0123456789"))
    assert config.server is not None
    assert config.server.api_keys
    assert isinstance(config.redis, RedisConfig)
    assert config.redis.url is not None
    assert "@llmdispatch-redis:6379" in config.redis.url.get_secret_value()
    assert config.redis.processes == objects["Deployment", "llmdispatch"]["spec"]["replicas"]


def test_the_command_is_the_image_s_own() -> None:
    """The Dockerfile's entry point with these arguments serves the mounted file."""
    pod = manifests()["Deployment", "llmdispatch"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    folder = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "config")
    assert container["args"] == ["serve", "--config", f"{folder}/dispatch.yaml"]
    lines = (FOLDER.parents[1] / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert 'ENTRYPOINT ["llmdispatch"]' in lines
    assert f"USER {pod['securityContext']['runAsUser']}" in lines
    assert f"EXPOSE {container['ports'][0]['containerPort']}" in lines


def test_a_pod_may_end_its_answers() -> None:
    """What the server and its hook wait for fits in the time that a pod has."""
    objects = manifests()
    pod = objects["Deployment", "llmdispatch"]["spec"]["template"]["spec"]
    config = yaml.safe_load(objects["ConfigMap", "llmdispatch"]["data"]["dispatch.yaml"])
    (container,) = pod["containers"]
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1]) + config["server"].get(
        "grace", GRACE
    )
    assert waits < pod["terminationGracePeriodSeconds"]


def test_probes_name_endpoints_of_the_server() -> None:
    """Ready by vendors, alive without them."""
    (container,) = manifests()["Deployment", "llmdispatch"]["spec"]["template"]["spec"]["containers"]
    probes = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")
    }
    assert probes == {"startup": "/livez", "readiness": "/readyz", "liveness": "/livez"}
