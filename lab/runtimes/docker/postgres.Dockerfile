# PostgreSQL from Debian's packages, for where no registry answers. The same variables as the registry's postgres image.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
USER 0:0
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/*/main \
    && mkdir -p /var/lib/postgresql/data && chown postgres:postgres /var/lib/postgresql/data
COPY postgres-start /usr/local/bin/postgres-start
RUN chmod 755 /usr/local/bin/postgres-start
USER postgres
ENV PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
EXPOSE 5432
CMD ["postgres-start"]
