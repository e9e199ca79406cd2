"""lightkube: typed and generic resources, server-side apply, subresources, watches, errors."""

import threading
import time

from lightkube import ApiError, Client, codecs
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod, Service
from lightkube.types import CascadeType, PatchType

NAMESPACE = "lightkube"
client = Client(namespace=NAMESPACE, field_manager="lightkube-story")


def fails(code, reason, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ApiError as error:
        assert (error.status.code, error.status.reason) == (code, reason), error.status
        return error.status
    raise AssertionError(f"{call} succeeded; expected {code} {reason}")


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))

# Objects come back as they are typed, and errors as what they are.
made = client.create(ConfigMap(metadata=ObjectMeta(name="settings", labels={"tier": "front"}), data={"a": "1"}))
assert made.metadata.uid and made.metadata.resourceVersion and made.metadata.namespace == NAMESPACE
fails(500, None, client.create, made)  # It has a resourceVersion: Kubernetes fails, without a reason.
status = fails(409, "AlreadyExists", client.create, ConfigMap(metadata=ObjectMeta(name="settings")))
assert status.message == 'configmaps "settings" already exists', status.message
assert status.details.kind == "configmaps" and status.details.name == "settings"
fails(404, "NotFound", client.get, ConfigMap, "nobody")
status = fails(422, "Invalid", client.create, ConfigMap(metadata=ObjectMeta(name="Bad_Name")))
assert status.details.causes[0].field == "metadata.name" and status.details.causes[0].reason == "FieldValueInvalid"

# Replacing what another has changed is refused.
stale = client.get(ConfigMap, "settings")
client.patch(ConfigMap, "settings", {"data": {"b": "2"}})
stale.data["c"] = "3"
fails(409, "Conflict", client.replace, stale)
fresh = client.get(ConfigMap, "settings")
fresh.data["c"] = "3"
assert client.replace(fresh).data == {"a": "1", "b": "2", "c": "3"}
patched = client.patch(ConfigMap, "settings", [{"op": "remove", "path": "/data/c"}], patch_type=PatchType.JSON)
assert patched.data == {"a": "1", "b": "2"}
assert client.patch(ConfigMap, "settings", {"data": {"b": None}}, patch_type=PatchType.MERGE).data == {"a": "1"}

# Lists: by label, by field, negated, across namespaces, in chunks.
for number in range(7):
    client.create(ConfigMap(metadata=ObjectMeta(generateName="many-", labels={"many": "yes"}), data={"n": str(number)}))
assert [each.metadata.name for each in client.list(ConfigMap, labels={"tier": "front"})] == ["settings"]
assert len(list(client.list(ConfigMap, labels={"many": "yes"}, chunk_size=2))) == 7
assert [each.metadata.name for each in client.list(ConfigMap, fields={"metadata.name": "settings"})] == ["settings"]
assert any(each.metadata.name == "settings" for each in client.list(ConfigMap, namespace="*"))
assert len(list(client.list(Node))) == 5

# A watch begins after the list and sees every change once.
listed = client.list(ConfigMap)
list(listed)
seen = []


def watch():
    for kind, each in client.watch(ConfigMap, resource_version=listed.resourceVersion, server_timeout=20):
        if each.metadata.name == "watched":
            seen.append((kind, each.data))
            if kind == "DELETED":
                return


watcher = threading.Thread(target=watch)
watcher.start()
client.create(ConfigMap(metadata=ObjectMeta(name="watched"), data={"a": "1"}))
client.patch(ConfigMap, "watched", {"data": {"a": "2"}})
client.delete(ConfigMap, "watched")
watcher.join(20)
assert seen == [("ADDED", {"a": "1"}), ("MODIFIED", {"a": "2"}), ("DELETED", {"a": "2"})], seen

# Server-side apply: conflicts, force, and fields that are given up.
applied = ConfigMap(metadata=ObjectMeta(name="applied"), data={"a": "1", "b": "1"})
applied.apiVersion, applied.kind = "v1", "ConfigMap"
assert client.apply(applied, field_manager="one").data == {"a": "1", "b": "1"}
applied.data = {"a": "2"}
status = fails(409, "Conflict", client.apply, applied, field_manager="two")
assert status.message == 'Apply failed with 1 conflict: conflict with "one": .data.a', status.message
assert status.details.causes[0].reason == "FieldManagerConflict" and status.details.causes[0].field == ".data.a"
assert client.apply(applied, field_manager="two", force=True).data == {"a": "2", "b": "1"}
applied.data = {"a": "2"}
assert client.apply(applied, field_manager="one").data == {"a": "2"}, "nobody applies b any more"

# A Deployment, its scale and its conditions.
deployment = Deployment(
    metadata=ObjectMeta(name="web"),
    spec=DeploymentSpec(
        replicas=1,
        selector=LabelSelector(matchLabels={"app": "web"}),
        template=PodTemplateSpec(
            metadata=ObjectMeta(labels={"app": "web"}),
            spec=PodSpec(containers=[Container(name="web", image="registry.example/web:1")]),
        ),
    ),
)
client.create(deployment)
client.wait(Deployment, "web", for_conditions=["Available"])
scale = client.get(Deployment.Scale, "web")
assert scale.spec.replicas == 1 and scale.status.selector == "app=web"
client.replace(Deployment.Scale(metadata=ObjectMeta(name="web"), spec=ScaleSpec(replicas=2)), "web")
assert client.patch(Deployment.Scale, "web", {"spec": {"replicas": 3}}).spec.replicas == 3
within(30, lambda: len(list(client.list(Pod, labels={"app": "web"}))) == 3)
within(30, lambda: client.get(Deployment.Status, "web").status.readyReplicas == 3)

# Manifests of several kinds, and a kind that lightkube was not compiled for.
manifest = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.lightkube.example.com}
spec:
  group: lightkube.example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {sails: {type: integer, default: 1}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""
for each in codecs.load_all_yaml(manifest):
    client.create(each)
assert client.get(Service, "web").spec.clusterIP
Boat = create_namespaced_resource("lightkube.example.com", "v1", "Boat", "boats")

# Established means served: whoever has seen it need not try twice.
client.wait(CustomResourceDefinition, "boats.lightkube.example.com", for_conditions=["Established"])
client.create(Boat(metadata={"name": "one"}, spec={}))
assert client.get(Boat, "one").spec == {"sails": 1}
client.patch(Boat.Status, "one", {"status": {"wind": "north"}}, patch_type=PatchType.MERGE)
assert client.get(Boat, "one").status == {"wind": "north"}

# Deletion, with what depends on it and without.
client.delete(Deployment, "web", cascade=CascadeType.FOREGROUND)
within(30, lambda: not list(client.list(Deployment)) and not list(client.list(Pod, labels={"app": "web"})))
client.deletecollection(ConfigMap)
assert not list(client.list(ConfigMap, labels={"many": "yes"}))
client.delete(CustomResourceDefinition, "boats.lightkube.example.com")
client.delete(Namespace, NAMESPACE)
print("ok")
