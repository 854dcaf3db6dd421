"""The model on Triton's Python backend, for servers without its ONNX Runtime backend.

The server's Python needs numpy and onnxruntime (onnxruntime-gpu for a GPU), and no mmsr.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Runs the graph that lies beside this file, on all images of a batch at once."""

    def initialize(self, args):
        """Open the graph, on the instance's device."""
        providers = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            device = {"device_id": int(args["model_instance_device_id"])}
            providers.insert(0, ("CUDAExecutionProvider", device))
        graph = Path(__file__).with_name("model.onnx")
        self._session = onnxruntime.InferenceSession(graph, providers=providers)

    def execute(self, requests):
        """One response per request; the server batches none but images of one size."""
        given = [[_tensor(request, name) for name in ("images", "effort")] for request in requests]
        problems = [_problem(*pair) for pair in given]
        sound = [pair for pair, problem in zip(given, problems, strict=True) if not problem]
        answers = iter(self._answers(sound) if sound else ())
        responses = []
        for problem in problems:
            if problem:
                responses.append(triton.InferenceResponse(error=triton.TritonError(problem)))
            else:
                upscaled, routes = next(answers)
                responses.append(_response(upscaled, routes))
        return responses

    def _answers(self, sound):
        """The upscaled images and the routes of each request."""
        images, effort = (np.concatenate(arrays) for arrays in zip(*sound, strict=True))
        outputs = self._session.run(["upscaled", "routes"], {"images": images, "effort": effort})
        ends = np.cumsum([len(pair[0]) for pair in sound])[:-1]
        return zip(*(np.split(output, ends) for output in outputs), strict=True)


# Servers built before NumPy 2 misread its arrays and hand out broken ones; DLPack keeps both sound.
# Some then write a line about a PyCapsule to their log, for every tensor: it is harmless.
MODERN = np.lib.NumpyVersion(np.__version__) >= "2.0.0"


def _tensor(request, name):
    tensor = triton.get_input_tensor_by_name(request, name)
    return np.from_dlpack(tensor) if MODERN else tensor.as_numpy()


def _response(upscaled, routes):
    outputs = {"upscaled": upscaled, "routes": routes}
    tensors = [_output(name, np.ascontiguousarray(array)) for name, array in outputs.items()]
    return triton.InferenceResponse(tensors)


def _output(name, array):
    return (triton.Tensor.from_dlpack if MODERN else triton.Tensor)(name, array)


def _problem(images, effort):
    """What is wrong with a request; None if nothing."""
    if min(images.shape) < 1:
        return f"images of shape {images.shape}: there is nothing to upscale"
    if not ((effort >= 0) & (effort <= 1)).all():
        return f"effort {effort.ravel().tolist()}: give a number in [0,1]"
    return None
