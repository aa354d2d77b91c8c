"""Calls that are wrong: a type checker must find the error that each line ends with, by mypy's name."""

from __future__ import annotations

from pydantic import BaseModel

from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig


class City(BaseModel):
    """A city."""

    name: str


model = DispatcherChatModel(models=["openai:gpt-6-luna"])
DispatcherChatModel(models=[1])  # list-item
DispatcherChatModel(modles=["openai:gpt-6-luna"])  # call-arg
DispatcherChatModel(max_attempts="6")  # arg-type
DispatcherChatModel(on_stream_error="ignore")  # arg-type
DispatcherChatModel(routes={"fast": [1]})  # list-item
Deployment("openai:gpt-6-luna", rpm="50")  # arg-type
Deployment("openai:gpt-6-luna", rmp=50)  # call-arg
Deployment()  # call-arg
VendorConfig(api_key=3)  # arg-type
count = model.with_structured_output(City).invoke("hi").population  # attr-defined
model.with_structured_output(City, method="yaml")  # call-overload
