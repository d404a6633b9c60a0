# rationem on a CPU; for a GPU build with --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 and run with --gpus all.
#   docker build -t rationem . && docker run --rm -v "$PWD:/work" rationem demo ratings
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /opt/rationem
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --extra-index-url "$TORCH_INDEX" torch
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt '.[gguf]'

# Files that are written in /work belong to this user: run with --user "$(id -u)" where yours is another one.
RUN useradd --create-home --uid 1000 rationem
USER rationem
WORKDIR /work
ENTRYPOINT ["rationem"]
CMD ["--help"]
