# Two images from one file:
#
#     docker build -t dlcv .                       everything: train, export, evaluate
#     docker build -t dlcv-onnx --target onnx .    runs and scores ONNX models, without PyTorch
#
#     docker run --gpus all --shm-size 8g -v "$PWD:/data" dlcv train seg --data my-set
#     docker run --gpus all -v "$PWD:/data" dlcv-onnx eval street.onnx --data my-set
#
# The wheels contain CUDA 13 and cuDNN 9, so the base image needs neither. The host needs an NVIDIA
# driver 580 or newer and the NVIDIA container toolkit. Without a GPU, leave out --gpus.

FROM python:3.12-slim AS onnx
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Results in a mounted folder belong to this user. For your own user: --user "$(id -u):$(id -g)".
RUN useradd --create-home --uid 1000 dlcv && install -d -o dlcv -g dlcv /data \
    && chmod 1777 /home/dlcv
WORKDIR /opt/dlcv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY dlcvcli dlcvcli
RUN pip install -c constraints.txt .
# A --user id without a home directory uses this one, for downloaded weights.
ENV HOME=/home/dlcv MPLCONFIGDIR=/tmp/matplotlib
USER dlcv
WORKDIR /data
ENTRYPOINT ["dlcv"]
CMD ["--help"]

FROM onnx AS train
USER root
RUN pip install -c /opt/dlcv/constraints.txt '/opt/dlcv[train]'
USER dlcv
