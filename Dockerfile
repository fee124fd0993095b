# The station, on simulated hardware or on a board; also the bundled CSMS and the simulated meter of docker-compose.yml.
FROM python:3.13-slim
WORKDIR /app
COPY requirements-board.lock pyproject.toml README.md ./
RUN pip install --no-cache-dir --require-hashes -r requirements-board.lock
COPY foundation foundation
COPY metering metering
COPY energy energy
COPY station station
COPY ocpp_handlers ocpp_handlers
COPY simulator simulator
COPY borne borne
RUN pip install --no-cache-dir --no-build-isolation --no-deps . && useradd --system --create-home borne \
    && install -d -o borne /home/borne/records /home/borne/register
USER borne
WORKDIR /home/borne
ENTRYPOINT ["borne"]
