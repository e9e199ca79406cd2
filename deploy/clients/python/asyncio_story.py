"""kubernetes-asyncio: many requests at once, watches, server-side apply, dynamic client."""

import asyncio

from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.api_client import ApiClient
from kubernetes_asyncio.dynamic import DynamicClient

NAMESPACE = "asyncio"


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"story": "asyncio"}), data=data)


async def fails(code, reason, call):
    try:
        await call
    except client.ApiException as error:
        assert (error.status, reason in error.body) == (code, True), error
        return
    raise AssertionError(f"expected {code} {reason}")


async def many(core):
    """Sixty creates at once, then a list in pages of ten that is consistent while others write."""
    await asyncio.gather(*(core.create_namespaced_config_map(NAMESPACE, config_map(f"m-{n:02}")) for n in range(60)))
    names, token = [], None
    while token != "":
        page = await core.list_namespaced_config_map(
            NAMESPACE, label_selector="story=asyncio", limit=10, _continue=token)
        names += [each.metadata.name for each in page.items]
        token = page.metadata._continue or ""
        await core.create_namespaced_config_map(NAMESPACE, config_map(f"later-{len(names)}"))
    assert names == [f"m-{n:02}" for n in range(60)], names


async def watched(core):
    """Two watches see the same changes in the same order, and one goes on where it was cut."""
    start = (await core.list_namespaced_config_map(NAMESPACE)).metadata.resource_version

    async def see(revision, wanted):
        seen = []
        async with watch.Watch() as stream:
            async for event in stream.stream(
                    core.list_namespaced_config_map, NAMESPACE, resource_version=revision, timeout_seconds=30):
                if event["object"].metadata.name != "watched":
                    continue
                seen.append((event["type"], (event["object"].data or {}).get("n"), event["object"].metadata.resource_version))
                if len(seen) == wanted:
                    return seen

    async def write():
        await core.create_namespaced_config_map(NAMESPACE, config_map("watched", n="0"))
        for number in range(1, 10):
            await core.patch_namespaced_config_map("watched", NAMESPACE, {"data": {"n": str(number)}})
        await core.delete_namespaced_config_map("watched", NAMESPACE)

    first, second, _ = await asyncio.gather(see(start, 11), see(start, 11), write())
    assert first == second
    assert [kind for kind, _, _ in first] == ["ADDED"] + ["MODIFIED"] * 9 + ["DELETED"], first
    assert [number for _, number, _ in first[:10]] == [str(number) for number in range(10)]
    assert await see(first[4][2], 6) == first[5:], "a watch goes on after the revision it is given"


async def raced(core):
    """Of ten who replace the same version one wins."""
    await core.create_namespaced_config_map(NAMESPACE, config_map("race", winner="none"))
    current = await core.read_namespaced_config_map("race", NAMESPACE)

    async def replace(number):
        body = config_map("race", winner=str(number))
        body.metadata.resource_version = current.metadata.resource_version
        try:
            await core.replace_namespaced_config_map("race", NAMESPACE, body)
            return 1
        except client.ApiException as error:
            assert error.status == 409 and '"reason":"Conflict"' in error.body, error
            return 0

    assert sum(await asyncio.gather(*(replace(number) for number in range(10)))) == 1


async def dynamic(api):
    """A client that learns the kinds from discovery."""
    found = await DynamicClient(api)
    deployments = await found.resources.get(api_version="apps/v1", kind="Deployment")
    body = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
            },
        },
    }
    made = await deployments.server_side_apply(body=body, namespace=NAMESPACE, field_manager="story")
    assert made.metadata.generation == 1
    body["spec"]["replicas"] = 3
    assert (await deployments.server_side_apply(body=body, namespace=NAMESPACE, field_manager="story")).spec.replicas == 3
    for _ in range(300):
        status = (await deployments.get(name="web", namespace=NAMESPACE)).status
        if status.readyReplicas == 3:
            break
        await asyncio.sleep(0.1)
    assert status.readyReplicas == 3, status
    patched = await deployments.patch(
        body={"spec": {"paused": True}}, name="web", namespace=NAMESPACE, content_type="application/merge-patch+json")
    assert patched.spec.paused is True and patched.metadata.generation == 3
    await deployments.delete(name="web", namespace=NAMESPACE, body={"propagationPolicy": "Foreground"})


async def main():
    await config.load_kube_config()
    async with ApiClient() as api:
        core = client.CoreV1Api(api)
        await core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
        version = await client.VersionApi(api).get_code()
        assert version.git_version.startswith("v1.32."), version
        await many(core)
        await watched(core)
        await raced(core)
        await fails(404, '"reason":"NotFound"', core.read_namespaced_pod("nobody", NAMESPACE))
        await fails(422, '"reason":"Invalid"', core.create_namespaced_pod(
            NAMESPACE, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}))
        review = await client.AuthorizationV1Api(api).create_self_subject_access_review(
            client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace=NAMESPACE))))
        assert review.status.allowed
        await dynamic(api)
        deleted = await core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="story=asyncio")
        assert deleted is not None
        left = await core.list_namespaced_config_map(NAMESPACE, label_selector="story=asyncio")
        assert left.items == []
        await core.delete_namespace(NAMESPACE)
    print("ok")


asyncio.run(main())
