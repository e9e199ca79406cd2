"""An operator as kopf's users write them: it keeps a ConfigMap beside every Beacon, and a daemon while it shines."""

import asyncio

import kopf
import kubernetes


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.level = 20  # Events for what handlers say.
    settings.persistence.finalizer = "kopf.example.com/operator"
    # A timer whose request is under way when its object is deleted is looked at again after this time: a minute, unless
    # told, since a request that changes nothing brings no event.
    settings.background.cancellation_polling = 1
    kubernetes.config.load_kube_config()


@kopf.on.create("kopf.example.com", "v1", "beacons")
def created(spec, name, namespace, body, logger, **_):
    config_map = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-light"}, "data": {"colour": spec["colour"]}}
    kopf.adopt(config_map)
    kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, config_map)
    kopf.info(body, reason="Lit", message=f"The beacon shines {spec['colour']}")
    return {"message": "lit"}


@kopf.on.update("kopf.example.com", "v1", "beacons", field="spec.colour")
def recoloured(old, new, name, namespace, retry, **_):
    if retry < 1:
        raise kopf.TemporaryError("the paint is not dry", delay=0.5)
    kubernetes.client.CoreV1Api().patch_namespaced_config_map(f"{name}-light", namespace, {"data": {"colour": new}})
    return {"from": old, "to": new, "tries": retry + 1}


@kopf.on.delete("kopf.example.com", "v1", "beacons", backoff=1)
def deleted(name, namespace, **_):
    try:
        kubernetes.client.CoreV1Api().create_namespaced_config_map(
            namespace, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-was-here"}})
    except kubernetes.client.ApiException as error:
        if error.status != 409:  # A handler runs again when its end was not heard of.
            raise


@kopf.daemon("kopf.example.com", "v1", "beacons", cancellation_timeout=2)
async def shining(stopped, name, namespace, **_):
    turns = 0
    while not stopped:
        turns += 1
        if turns <= 3:
            kubernetes.client.CustomObjectsApi().patch_namespaced_custom_object_status(
                "kopf.example.com", "v1", namespace, "beacons", name, {"status": {"turns": turns}})
        await asyncio.sleep(0.2)


@kopf.timer("kopf.example.com", "v1", "beacons", interval=1.0, idle=0.5)
def ticking(patch, **_):
    patch.status["ticked"] = True


@kopf.on.event("configmaps", labels={"beacon": "yes"})
def seen(name, namespace, type, **_):
    if type == "ADDED":
        kubernetes.client.CoreV1Api().patch_namespaced_config_map(
            name, namespace, {"metadata": {"annotations": {"kopf.example.com/seen": "yes"}}})
