"""Reads a data lake with DuckDB, pyarrow and Spark."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.dataset
import pyarrow.json
import pyspark
from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[2]
LAKE_TABLE = ROOT / "terraform/modules/storage/lake_table.tf"
COLUMNS = ["event_id", "claim_id", "claimed_at", "message_id", "event"]


class GlueTable:
    """The parts of the Glue table's definition that a Hive table has too, read from the Terraform module."""

    def __init__(self):
        text = LAKE_TABLE.read_text(encoding="utf-8")
        find = lambda name: one(re.findall(rf'^ *"?{name}"? += ("(?:[^"\\]|\\.)*")$', text, re.MULTILINE), name)
        self.regex = find(r"input\.regex")
        self.serde = find("serialization_library")
        self.input_format = find("input_format")
        self.output_format = find("output_format")
        named = r'{} \{{\n +name += "(\w+)"\n +type += "(\w+)"'
        self.columns = re.findall(named.format("columns"), text)
        self.partition_keys = re.findall(named.format("partition_keys"), text)
        assert [name for name, _ in self.columns] == COLUMNS and len(self.partition_keys) == 2, (self.columns, self.partition_keys)


def one(found: list[str], name: str) -> str:
    """Returns the value of a Terraform string. Without `${` and `%{`, its escapes are those of JSON."""
    if len(found) != 1 or re.search(r"[$%]\{", found[0]):
        raise SystemExit(f"check-lake-engines: {LAKE_TABLE.name} must have one {name}, as a string without a template")
    return json.loads(found[0])


# An engine yields the id and the text of each event in the folder of a lake. The text is None if the engine cannot return it unchanged.
Rows = Iterator[tuple[str | None, str | None]]


class DuckDb:
    name = f"DuckDB {duckdb.__version__}"

    def rows(self, lake: Path) -> Rows:
        files = [str(lake / "**/*.json"), str(lake / "**/*.json.gz")]
        columns = {name: "JSON" if name == "event" else "VARCHAR" for name in COLUMNS}
        # DuckDB reads the number 1.50 in a column of the type JSON as 1.5, so this ignores the event.
        query = "SELECT event_id, NULL FROM read_json($files, format='newline_delimited', columns=$columns, hive_partitioning=true)"
        yield from duckdb.connect().execute(query, {"files": files, "columns": columns}).fetchall()


class PyArrow:
    name = f"pyarrow {pyarrow.__version__}"

    def rows(self, lake: Path) -> Rows:
        # In pyarrow, a column has one type. The events of a lake may differ, so this reads only the other columns.
        schema = pyarrow.schema([(name, pyarrow.string()) for name in COLUMNS if name != "event"])
        options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        format = pyarrow.dataset.JsonFileFormat(parse_options=options)
        dataset = pyarrow.dataset.dataset(lake, schema=schema, format=format, partitioning="hive")
        # With more files at once, pyarrow 26.0.1 hangs on a machine with two cores.
        yield from ((id, None) for id in dataset.to_table(fragment_readahead=1)["event_id"].to_pylist())


class Spark:
    name = f"Spark {pyspark.__version__}"

    def __init__(self, folder: Path, table: GlueTable):
        self.table = table
        self.session = (
            SparkSession.builder.master("local[2]")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.extraJavaOptions", "-Dderby.stream.error.file=/dev/null")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.log.level", "ERROR")
            .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
            .config("spark.hadoop.javax.jdo.option.ConnectionURL", "jdbc:derby:memory:lake;create=true")
            .enableHiveSupport()
            .getOrCreate()
        )

    def rows(self, lake: Path) -> Rows:
        """Returns the rows of a Hive table with the definition of the Glue table."""
        table = self.table
        listed = lambda columns: ", ".join(f"{name} {type}" for name, type in columns)
        self.session.sql("DROP TABLE IF EXISTS events")
        self.session.sql(
            f"CREATE EXTERNAL TABLE events ({listed(table.columns)}) PARTITIONED BY ({listed(table.partition_keys)})"
            f" ROW FORMAT SERDE '{table.serde}' WITH SERDEPROPERTIES ('input.regex' = {literal(table.regex)})"
            f" STORED AS INPUTFORMAT '{table.input_format}' OUTPUTFORMAT '{table.output_format}' LOCATION {literal(lake.as_uri())}"
        )
        properties = self.session.sql("DESCRIBE FORMATTED events").where("col_name = 'Storage Properties'").first()
        assert f"input.regex={table.regex}" in properties["data_type"], properties
        self.session.sql("MSCK REPAIR TABLE events")
        for row in self.session.sql("SELECT event_id, event FROM events").collect():
            yield unescaped(row.event_id), row.event


def unescaped(id: str | None) -> str | None:
    """Returns the event id. In the table, it is escaped as in JSON, and null if the expression does not match the line."""
    try:
        return id and json.loads(f'"{id}"')
    except json.JSONDecodeError:
        return id


def literal(text: str) -> str:
    """Returns a string literal of Spark SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
