from langchain_llmdispatch.server.app import create_app as create_app
from langchain_llmdispatch.server.serve import serve as serve
