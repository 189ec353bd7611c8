"""Which PyPI project stands for which conda package. Data only; names that are equal on both need no entry."""

from __future__ import annotations

# conda name -> PyPI requirement name.
RENAMED = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "torchvision-cpu": "torchvision",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "_py-xgboost-mutex": "",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "pytables": "tables",
    "tensorflow-base": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "tensorflow-eigen": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "keras-gpu": "keras",
    "lightgbm-gpu": "lightgbm",
    "python-graphviz": "graphviz",
    "msgpack-python": "msgpack",
    "ruamel_yaml": "ruamel.yaml",
    "dask-core": "dask",
    "pyqt": "pyqt5",
    "psycopg2": "psycopg2-binary",
    "faiss": "faiss-cpu",
    "fbprophet": "prophet",
    "python-lmdb": "lmdb",
    "python-blosc": "blosc",
    "pandas-profiling": "ydata-profiling",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "pil": "pillow",
    "yaml": "pyyaml",
    "attr": "attrs",
    "prompt_toolkit": "prompt-toolkit",
    "importlib_metadata": "importlib-metadata",
    "typing_extensions": "typing-extensions",
    "backports_abc": "backports-abc",
    "pyarrow-core": "pyarrow",
    "numpy-base": "numpy",
    "scipy-base": "scipy",
    "jupyterlab_server": "jupyterlab-server",
    "huggingface_hub": "huggingface-hub",
    "pytorch_geometric": "torch-geometric",
    "pyg": "torch-geometric",
    "sentence_transformers": "sentence-transformers",
    "python-kaleido": "kaleido",
    "plotly_express": "plotly",
}

# Not Python packages, or inside the PyPI wheels already: name -> why nothing is installed for it.
_IN_WHEELS = "PyPI's wheels bring their own"
_CUDA = "PyPI's GPU wheels bring CUDA themselves"
_SYSTEM = "it is not a Python package; install it on the machine if a script needs it"
_INSTALLER = "uv installs the packages"
DROPPED = {
    "pip": _INSTALLER,
    "conda": _INSTALLER,
    "conda-build": _INSTALLER,
    "mamba": _INSTALLER,
    "nb_conda": _INSTALLER,
    "nb_conda_kernels": _INSTALLER,
    "anaconda": "it is conda's own collection; name the packages a script uses",
    "cudatoolkit": _CUDA,
    "cudatoolkit-dev": _CUDA,
    "cuda": _CUDA,
    "cuda-toolkit": _CUDA,
    "cudnn": _CUDA,
    "nccl": _CUDA,
    "cupti": _CUDA,
    "pytorch-cuda": _CUDA,
    "pytorch-mutex": _CUDA,
    "cpuonly": "it only chooses a build of PyTorch",
    "_tflow_select": "it only chooses a build of TensorFlow",
    **dict.fromkeys(
        ("blas", "libblas", "libcblas", "liblapack", "lapack", "openblas", "libopenblas", "mkl", "nomkl", "intel-openmp",
         "llvm-openmp", "_openmp_mutex", "libgomp", "libopencv", "libprotobuf", "hdf5", "arrow-cpp", "libxml2", "libxslt",
         "libxgboost", "libpng", "libtiff", "jpeg", "freetype", "zlib", "bzip2", "xz", "zstd", "lz4-c", "snappy", "libffi",
         "boost", "boost-cpp", "icu", "geos", "proj", "libgdal", "tbb", "_libgcc_mutex"),
        _IN_WHEELS,
    ),
    **dict.fromkeys(
        ("libgcc-ng", "libgcc", "libstdcxx-ng", "libgfortran-ng", "libgfortran", "openssl", "ca-certificates", "sqlite", "tk",
         "readline", "ncurses", "gcc", "gxx", "gcc_linux-64", "gxx_linux-64", "compilers", "make", "git", "nodejs", "openjdk",
         "openmpi", "mpich", "graphviz", "ffmpeg", "libsndfile", "poppler", "tesseract", "gdal-bin", "r-base", "r-essentials",
         "curl", "wget", "unzip", "ld_impl_linux-64", "glib", "libuuid", "expat"),
        _SYSTEM,
    ),
}  # fmt: skip

# pip names that PyPI keeps only as a warning, or that were renamed there.
RENAMED_ON_PYPI = {
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "pil": "pillow",
}
