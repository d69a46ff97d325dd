"""The graph's Cypher, the same for ladybug and Neo4j; only the definition of the schema differs.

Single nodes are matched by ``UNWIND ... MATCH (n) WHERE n.id = x``, the ends of paths by ``n.id IN``: anything
else (properties in the pattern, MERGE, the other of the two) takes ladybug ten to fifty times as long.
Every node carries tenant and department.
"""

LADYBUG_SCHEMA = (
    "CREATE NODE TABLE IF NOT EXISTS Document(id STRING PRIMARY KEY, tenant STRING, department STRING, name STRING)",
    "CREATE NODE TABLE IF NOT EXISTS Chunk(id STRING PRIMARY KEY, tenant STRING, department STRING)",
    "CREATE NODE TABLE IF NOT EXISTS Entity(id STRING PRIMARY KEY, tenant STRING, department STRING, key STRING,"
    " name STRING, type STRING, terms STRING)",
    "CREATE REL TABLE IF NOT EXISTS HAS_CHUNK(FROM Document TO Chunk)",
    "CREATE REL TABLE IF NOT EXISTS ABOUT(FROM Chunk TO Entity, role STRING)",
    "CREATE REL TABLE IF NOT EXISTS MENTIONS(FROM Chunk TO Entity, confidence DOUBLE)",
    "CREATE REL TABLE IF NOT EXISTS RELATED_TO(FROM Entity TO Entity, relation_type STRING, weight DOUBLE,"
    " document_id STRING, chunk_id STRING)",
)
NEO4J_SCHEMA = (
    "CREATE CONSTRAINT llmflow_document IF NOT EXISTS FOR (d:Document) REQUIRE d.id IS UNIQUE",
    "CREATE CONSTRAINT llmflow_chunk IF NOT EXISTS FOR (c:Chunk) REQUIRE c.id IS UNIQUE",
    "CREATE CONSTRAINT llmflow_entity IF NOT EXISTS FOR (e:Entity) REQUIRE e.id IS UNIQUE",
    "CREATE INDEX llmflow_document_scope IF NOT EXISTS FOR (d:Document) ON (d.tenant, d.department)",
    "CREATE INDEX llmflow_entity_type IF NOT EXISTS FOR (e:Entity) ON (e.tenant, e.type)",
)

_OF_DOCUMENT = "d.id = $document AND d.tenant = $tenant AND d.department IN $departments"

CHUNKS_OF = f"MATCH (d:Document)-[:HAS_CHUNK]->(c:Chunk) WHERE {_OF_DOCUMENT} RETURN c.id AS id"
TOUCHED = "MATCH (c:Chunk)-[:ABOUT|MENTIONS]->(e:Entity) WHERE c.id IN $chunks RETURN DISTINCT e.id AS id"
DELETE_RELATIONS = (
    "MATCH (a:Entity)-[r:RELATED_TO]->(b:Entity) WHERE a.id IN $entities AND r.document_id = $document DELETE r"
)
DELETE_CHUNKS = "UNWIND $chunks AS x MATCH (c:Chunk) WHERE c.id = x DETACH DELETE c"
DELETE_DOCUMENT = f"MATCH (d:Document) WHERE {_OF_DOCUMENT} DETACH DELETE d"
DELETE_UNMENTIONED = (
    "UNWIND $entities AS x MATCH (e:Entity) WHERE e.id = x AND NOT EXISTS { MATCH (e)<-[:ABOUT|MENTIONS]-(:Chunk) }"
    " DETACH DELETE e"
)

ADD_DOCUMENT = "CREATE (d:Document {id: $document, tenant: $tenant, department: $department, name: $name})"
ADD_CHUNKS = (
    "MATCH (d:Document) WHERE d.id = $document UNWIND $rows AS x"
    " CREATE (d)-[:HAS_CHUNK]->(c:Chunk {id: x.id, tenant: d.tenant, department: d.department})"
)
KNOWN = "UNWIND $entities AS x MATCH (e:Entity) WHERE e.id = x RETURN e.id AS id, e.terms AS terms"
ADD_ENTITIES = (
    "UNWIND $rows AS x CREATE (e:Entity {id: x.id, tenant: x.tenant, department: x.department, key: x.key,"
    " name: x.name, type: x.type, terms: x.terms})"
)
SET_TERMS = (
    "UNWIND $rows AS x MATCH (e:Entity) WHERE e.id = x.id SET e.name = x.name, e.type = x.type, e.terms = x.terms"
)
ADD_ABOUTS = (
    "UNWIND $rows AS x MATCH (c:Chunk) WHERE c.id = x.chunk MATCH (e:Entity) WHERE e.id = x.entity"
    " CREATE (c)-[:ABOUT {role: x.role}]->(e)"
)
ADD_MENTIONS = (
    "UNWIND $rows AS x MATCH (c:Chunk) WHERE c.id = x.chunk MATCH (e:Entity) WHERE e.id = x.entity"
    " CREATE (c)-[:MENTIONS {confidence: x.confidence}]->(e)"
)
ADD_RELATIONS = (
    "UNWIND $rows AS x MATCH (a:Entity) WHERE a.id = x.subject MATCH (b:Entity) WHERE b.id = x.object"
    " CREATE (a)-[:RELATED_TO {relation_type: x.relation_type, weight: x.weight, document_id: $document,"
    " chunk_id: x.chunk}]->(b)"
)

DOCUMENTS = "MATCH (d:Document) RETURN d.id AS id, d.tenant AS tenant, d.department AS department"
LOAD_CHUNKS = (
    "MATCH (d:Document)-[:HAS_CHUNK]->(c:Chunk) WHERE d.tenant = $tenant AND d.department = $department"
    " RETURN c.id AS chunk, d.id AS document"
)
LOAD_ABOUTS = (
    "MATCH (c:Chunk)-[a:ABOUT]->(e:Entity) WHERE c.tenant = $tenant AND c.department = $department"
    " RETURN c.id AS chunk, e.id AS entity, a.role AS role, e.name AS name, e.terms AS terms"
)
LOAD_MENTIONS = (
    "MATCH (c:Chunk)-[m:MENTIONS]->(e:Entity) WHERE c.tenant = $tenant AND c.department = $department"
    " RETURN c.id AS chunk, e.id AS entity"
)

LOAD_RELATIONS = (
    "MATCH (a:Entity)-[r:RELATED_TO]->(b:Entity) WHERE a.tenant = $tenant AND a.department = $department"
    " RETURN r.chunk_id AS chunk, a.name AS subject, r.relation_type AS relation_type, b.name AS object,"
    " b.id AS object_id, r.weight AS weight"
)

COUNTS = (
    "MATCH (e:Entity) WHERE e.tenant = $tenant AND e.department IN $departments"
    " RETURN e.type AS type, count(e) AS entities"
)
ENTITIES = "UNWIND $ids AS x MATCH (e:Entity) WHERE e.id = x RETURN e.id AS id, e.name AS name, e.type AS type"
ENTITIES_LIKE = (
    "MATCH (e:Entity) WHERE e.tenant = $tenant AND e.department IN $departments AND e.key CONTAINS $key"
    " RETURN e.name AS name ORDER BY size(e.name), e.name LIMIT 5"
)
CHUNKS_ABOUT = (
    "MATCH (d:Document)-[:HAS_CHUNK]->(c:Chunk)-[a:ABOUT]->(e:Entity) WHERE e.id IN $ids"
    " RETURN c.id AS chunk, d.id AS document, d.name AS document_name, a.role AS role ORDER BY role, chunk LIMIT $limit"
)
CHUNKS_MENTIONING = (
    "MATCH (d:Document)-[:HAS_CHUNK]->(c:Chunk)-[m:MENTIONS]->(e:Entity) WHERE e.id IN $ids"
    " RETURN c.id AS chunk, d.id AS document, d.name AS document_name, m.confidence AS confidence"
    " ORDER BY confidence DESC, chunk LIMIT $limit"
)
_RELATION = (
    " RETURN a.id AS subject_id, a.name AS subject, r.relation_type AS relation_type, b.id AS object_id,"
    " b.name AS object, r.weight AS weight, r.chunk_id AS chunk ORDER BY weight DESC, subject, object LIMIT $limit"
)
RELATIONS_OF = f"MATCH (a:Entity)-[r:RELATED_TO]->(b:Entity) WHERE a.id IN $ids{_RELATION}"
RELATIONS_TO = f"MATCH (a:Entity)-[r:RELATED_TO]->(b:Entity) WHERE b.id IN $ids{_RELATION}"
