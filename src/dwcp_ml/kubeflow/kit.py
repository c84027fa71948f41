"""Tasks of a pipeline: components by name, with image, resources, cache, retries and placement."""

from __future__ import annotations

import copy
import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import CompileError
from dwcp_ml.kubeflow.settings import Metadata, Settings, read_metadata
from dwcp_ml.registry.objects import SECRET
from dwcp_ml.tracking.place import URI as TRACKING_URI

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kfp.dsl import PipelineTask
    from kfp.dsl.base_component import BaseComponent
    from kfp.dsl.graph_component import GraphComponent

SECRET_FOLDER = "/var/run/secrets/dwcp-s3"  # noqa: S105 (a path)
BACKOFF = "20s"


class Kit:
    """Makes tasks inside a pipeline function."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def task(self, component: str, suffix: str = "", **inputs: Any) -> PipelineTask:
        """A task of components/COMPONENT; ``suffix`` tells several of one component apart."""
        made, metadata = load(component)
        if suffix:
            made = _twin(made, f"{component}-{suffix}".replace("_", "-"))
        task = made(**inputs)
        task.set_display_name(f"{component} {suffix}".strip())
        self._resources(task, metadata)
        self._placement(task)
        if metadata.s3:
            self._store(task)
        if metadata.tracked and self.settings.tracking_uri:
            task.set_env_variable(TRACKING_URI, self.settings.tracking_uri)
        return task

    def _resources(self, task: PipelineTask, metadata: Metadata) -> None:
        from kfp import kubernetes

        task.set_container_image(self.settings.image(metadata.image))
        task.set_cpu_request(metadata.cpu.request).set_cpu_limit(metadata.cpu.limit)
        task.set_memory_request(metadata.memory.request).set_memory_limit(metadata.memory.limit)
        task.set_caching_options(self.settings.cache and metadata.cache)
        if metadata.retries:
            task.set_retry(num_retries=metadata.retries, backoff_duration=BACKOFF)
        kubernetes.set_timeout(task, metadata.deadline_minutes * 60)

    def _placement(self, task: PipelineTask) -> None:
        from kfp import kubernetes

        for key, value in sorted(self.settings.node_selector.items()):
            kubernetes.add_node_selector(task, key, value)
        for taint in self.settings.tolerations:
            operator = "Equal" if taint.value else "Exists"
            kubernetes.add_toleration(
                task,
                key=taint.key,
                operator=operator,
                value=taint.value or None,
                effect=taint.effect or None,
            )

    def _store(self, task: PipelineTask) -> None:
        from kfp import kubernetes

        store, volume = self.settings.store, self.settings.volume
        if volume:
            kubernetes.mount_pvc(task, pvc_name=volume.claim, mount_path=volume.path)
        if store is None:
            return
        if store.endpoint:
            task.set_env_variable("AWS_ENDPOINT_URL", store.endpoint)
        if store.region:
            task.set_env_variable("AWS_DEFAULT_REGION", store.region)
        if store.secret:
            # As files: KFP's fields for variables from secrets differ between its versions.
            kubernetes.use_secret_as_volume(task, store.secret, SECRET_FOLDER, optional=True)
            task.set_env_variable(SECRET, SECRET_FOLDER)


def load(component: str) -> tuple[BaseComponent, Metadata]:
    """The component of components/COMPONENT/component.py and its metadata.

    Raises:
        CompileError: there is no such component.
    """
    try:
        module = import_module(f"components.{component}.component")
    except ModuleNotFoundError as error:
        raise CompileError(
            f"there is no components/{component}; copy the folder of a component like it"
        ) from error
    made: BaseComponent = getattr(module, component)
    return made, read_metadata(Path(str(module.__file__)).parent)


def pipeline(
    name: str, defaults: Mapping[str, Any], body: Callable[[Mapping[str, Any]], None], about: str
) -> GraphComponent:
    """A pipeline whose parameters are the keys of ``defaults``, so that they follow params.yaml.

    Args:
        name: of the pipeline.
        defaults: values, which also give the types.
        body: makes the tasks from the parameters' channels by name.
        about: docstring for the user interface.
    """
    from kfp import dsl

    def graph(*channels: Any) -> None:
        body(dict(zip(defaults, channels, strict=True)))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    graph.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(key, kind, annotation=type(value), default=value)
            for key, value in defaults.items()
        ]
    )
    graph.__doc__ = about
    made: GraphComponent = dsl.pipeline(name=name)(graph)
    return made


def need_inputs(component: str, names: Sequence[str]) -> None:
    """CompileError unless the component has an input of each of these names."""
    made, _ = load(component)
    known = made.component_spec.inputs or {}
    for name in names:
        if name not in known:
            raise CompileError(f"components/{component} has no input '{name}'; add it there")


def _twin(component: BaseComponent, name: str) -> BaseComponent:
    """The same component under another name, which its tasks, pods and logs carry."""
    twin = copy.copy(component)
    twin.component_spec = copy.deepcopy(component.component_spec)
    twin.component_spec.name = twin.name = name
    return twin
