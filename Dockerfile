# The oldest Python that vyomo-rt supports, which CI tests with.
FROM python:3.11-slim-bookworm AS build
COPY . /src
RUN python -m venv --without-pip /opt/vyomo-rt \
    && pip --python /opt/vyomo-rt install --no-cache-dir '/src[cluster]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/vyomo-rt /opt/vyomo-rt
RUN install -d -o 10001 -g 10001 /data
USER 10001:10001
ENV PATH=/opt/vyomo-rt/bin:$PATH \
    VYOMO_RT_HOST=0.0.0.0 \
    VYOMO_RT_PORT=4025 \
    VYOMO_RT_DATA_DIR=/data
VOLUME /data
EXPOSE 4025
# Not /readyz: a store that is away comes back by itself, and a new server would not find it either.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "\
import http.client, os; \
server = http.client.HTTPConnection('127.0.0.1', int(os.environ['VYOMO_RT_PORT']), timeout=2); \
server.request('GET', '/livez'); \
raise SystemExit(server.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vyomo-rt"]
CMD ["serve"]
