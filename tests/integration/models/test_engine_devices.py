"""What this build of llama.cpp computes with: ggml's own list, over calls that llama-cpp-python does not declare."""

from models.engine import llama
from models.engine.device import DeviceKind
from models.engine.memory import available_bytes
from models.fit.survey import survey


def test_each_device_tells_its_memory() -> None:
    found = llama.devices()
    assert found
    assert all(0 <= device.free_bytes <= device.total_bytes for device in found)


def test_processor_is_no_gpu_and_has_the_memory_of_the_machine() -> None:
    others = [device.total_bytes for device in llama.devices() if device.kind is DeviceKind.OTHER]
    assert max(others) >= available_bytes()


def test_machine_without_a_gpu_has_its_own_memory_only() -> None:
    machine = survey(gpu_layers=0)
    assert (machine.has_gpu, machine.gpu_bytes) == (False, None)
    assert machine.room_bytes == machine.available_bytes > 0
