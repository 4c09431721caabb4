"""Networks on their way out: safetensors, ONNX, Hugging Face, MONAI bundle, each with a card."""
