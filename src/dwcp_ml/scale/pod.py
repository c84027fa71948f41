"""What a container does that Spark starts in a pod: `python -m dwcp_ml.scale.pod`.

Spark on Kubernetes runs its image with `driver` and the words of spark-submit, or with `executor`
and the rest in the environment; any other words are a command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
# Word of the backend -> variable that Spark sets in the executor's pod.
EXECUTOR = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}
OPTION = "SPARK_JAVA_OPT_"


def command(words: Sequence[str], environment: Mapping[str, str], home: Path) -> list[str]:
    """The process that takes this one's place.

    Args:
        words: the container's arguments.
        environment: the container's environment.
        home: folder of the Spark distribution.
    """
    if words[:1] == ["driver"]:
        bind = f"spark.driver.bindAddress={environment['SPARK_DRIVER_BIND_ADDRESS']}"
        submit = str(home / "bin" / "spark-submit")
        return [submit, "--conf", bind, "--deploy-mode", "client", *words[1:]]
    if words[:1] != ["executor"]:
        return list(words)
    numbered = [name for name in environment if name.startswith(OPTION)]
    options = [environment[n] for n in sorted(numbered, key=lambda n: int(n[len(OPTION) :]))]
    memory = environment["SPARK_EXECUTOR_MEMORY"]
    classes = [f"{home}/conf", f"{home}/jars/*"]
    if "SPARK_CONF_DIR" in environment:
        classes[0] = environment["SPARK_CONF_DIR"]
    told = [word for key, name in EXECUTOR.items() for word in (key, environment[name])]
    java = [f"-Xms{memory}", f"-Xmx{memory}", "-cp", ":".join(classes)]
    return ["java", *options, *java, BACKEND, *told]


def main() -> None:
    """Become the driver, an executor or the command."""
    import pyspark

    home = Path(pyspark.__file__).parent
    os.environ["SPARK_HOME"] = str(home)
    words = command(sys.argv[1:], os.environ, home)
    os.execvp(words[0], words)  # noqa: S606  this is what a container's entry point is for


if __name__ == "__main__":
    main()
